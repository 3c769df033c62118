import { availableParallelism } from 'node:os';
import type { WarmProcess } from './warm-process.ts';

/** The processes of cases that are compared, one each. They end with this. */
export class WarmProcesses<Task extends object, Result> implements AsyncDisposable {
  readonly #processes = new Map<string, Promise<WarmProcess<Task, Result>>>();

  /** Starts one for each of these cases, as many at a time as there are cores. Rejects where one can't be started, when none is left. */
  static async start<Task extends object, Result>(
    names: Iterable<string>,
    startOne: (name: string) => Promise<WarmProcess<Task, Result>>,
  ): Promise<WarmProcesses<Task, Result>> {
    const all = new WarmProcesses<Task, Result>();
    const waiting = new Set(names).values();
    const lane = async (): Promise<void> => {
      for (const name of waiting) {
        const starting = startOne(name);
        all.#processes.set(name, starting);
        await starting;
      }
    };
    const lanes = await Promise.allSettled(Array.from({ length: availableParallelism() }, lane));
    const failed = lanes.find((one) => one.status === 'rejected');
    if (!failed) return all;
    await all[Symbol.asyncDispose]();
    throw failed.reason;
  }

  /** Has the process of a case do a task. Rejects as it does. */
  async ask(name: string, task: Task): Promise<Result> {
    const process = await this.#processes.get(name);
    if (!process) throw new Error(`"${name}" has no process`);
    return process.ask(task);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const started = await Promise.allSettled(this.#processes.values());
    const ends = started.map((one) => (one.status === 'fulfilled' ? one.value[Symbol.asyncDispose]() : undefined));
    await Promise.all(ends);
  }
}
