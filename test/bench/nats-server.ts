import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../support/redis.ts';
import { provide } from './program.ts';
import { untilSaid } from './until-said.ts';

/** A nats-server for the benchmark, with JetStream, on a free port, in a folder of its own. */
export class NatsServer implements AsyncDisposable {
  readonly url: string;
  readonly #folder: string;
  readonly #process: ChildProcess;

  private constructor(url: string, folder: string, process: ChildProcess) {
    this.url = url;
    this.#folder = folder;
    this.#process = process;
  }

  /** Starts one; nothing where there is none, and none can be installed. */
  static async start(): Promise<NatsServer | undefined> {
    const command = provide({ command: 'nats-server', package: 'nats-server' });
    if (command === undefined) return undefined;
    const port = await freePort();
    const folder = await mkdtemp(join(tmpdir(), 'millrace-nats-'));
    const child = spawn(command, ['-a', '127.0.0.1', '-p', String(port), '-js', '-sd', folder], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    await untilSaid(child, child.stderr, 'Server is ready');
    return new NatsServer(`nats://127.0.0.1:${port}`, folder, child);
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.kill();
    await ended;
    await rm(this.#folder, { recursive: true, force: true });
  }
}
