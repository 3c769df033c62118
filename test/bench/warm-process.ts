import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { TIME_LIMIT } from './run.ts';
import { within } from './within.ts';

/**
 * A process of one case, which does tasks, one at a time, and stays warm from one to the next: one of this folder's scripts, which is
 * ready and does them by means of `tasks.ts`. It ends with this, or with the process that has started it, however that ends.
 */
export class WarmProcess<Task extends object, Result> implements AsyncDisposable {
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #timeLimit: number;
  /** Rejects. */
  readonly #ended: Promise<never>;

  private constructor(name: string, child: ChildProcess, timeLimit: number) {
    this.#name = name;
    this.#child = child;
    this.#timeLimit = timeLimit;
    this.#ended = once(child, 'exit').then(([code, signal]) => {
      throw new Error(`the process of "${name}" has ended with ${code ?? signal}`);
    });
    this.#ended.catch(() => {});
  }

  /** Resolves when it is ready. The first of its arguments is the name of its case; a task may take `timeLimit` milliseconds. */
  static async start<Task extends object, Result>(
    script: string,
    args: readonly string[],
    timeLimit = TIME_LIMIT,
  ): Promise<WarmProcess<Task, Result>> {
    const child = fork(fileURLToPath(new URL(script, import.meta.url)), args, {
      execArgv: ['--import', 'tsx/esm'],
      // What others print is no part of our tables.
      stdio: ['ignore', 2, 2, 'ipc'],
    });
    const started = new WarmProcess<Task, Result>(args[0] ?? script, child, timeLimit);
    await started.#messageWithin(TIME_LIMIT);
    return started;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Has it do a task. Rejects, and names the case, when the process ends instead, or takes too long, which ends it. */
  async ask(task: Task): Promise<Result> {
    const result = this.#messageWithin(this.#timeLimit);
    // Whether it could be sent is known by the result.
    this.#child.send(task, () => {});
    return (await result) as Result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended.catch(() => {});
  }

  async #messageWithin(milliseconds: number): Promise<unknown> {
    const over = new AbortController();
    const heard = Promise.race([once(this.#child, 'message', over), this.#ended]);
    try {
      const [message] = await within(milliseconds, this.#name, heard);
      return message;
    } catch (error) {
      // It has ended when that is told, so that who asks again is told so, however long it takes to end.
      await this[Symbol.asyncDispose]();
      throw error;
    } finally {
      over.abort();
    }
  }
}
