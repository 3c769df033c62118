import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from './redis.ts';

/** Files that are kept in memory. */
const MEMORY = '/dev/shm';

/** What a server knows of a function. */
export interface FunctionStatus {
  readonly total: number;
  readonly running: number;
  readonly workers: number;
}

/** A real gearmand of the test's own, on a free port, in a folder of its own. */
export class GearmanServer implements AsyncDisposable {
  readonly port: number;
  readonly folder: string;
  readonly #args: readonly string[];
  #process: ChildProcess | undefined;

  private constructor(port: number, folder: string, args: readonly string[]) {
    this.port = port;
    this.folder = folder;
    this.#args = args;
  }

  /** Starts a server; `args` are those of its command line. */
  static async start(...args: string[]): Promise<GearmanServer> {
    const server = await GearmanServer.prepare(...args);
    await server.start();
    return server;
  }

  /** One that keeps background jobs in a database, so that they outlive it. */
  static async startPersistent(): Promise<GearmanServer> {
    // It writes to the disk for each job: in memory that is a matter of moments, and outlives it all the same.
    const folder = await mkdtemp(join(existsSync(MEMORY) ? MEMORY : tmpdir(), 'millrace-gearman-'));
    const args = ['-q', 'libsqlite3', `--libsqlite3-db=${join(folder, 'queue.db')}`];
    const server = new GearmanServer(await freePort(), folder, args);
    await server.start();
    return server;
  }

  /** One that does not run yet. */
  static async prepare(...args: string[]): Promise<GearmanServer> {
    const folder = await mkdtemp(join(tmpdir(), 'millrace-gearman-'));
    return new GearmanServer(await freePort(), folder, args);
  }

  get url(): string {
    return `gearman://127.0.0.1:${this.port}`;
  }

  /** Starts it again after {@link kill}; resolves when it takes connections. */
  async start(): Promise<void> {
    const files = ['-l', 'stderr', '-P', join(this.folder, 'pid')];
    const fixed = ['-p', String(this.port), '-L', '127.0.0.1', ...files];
    const child = spawn('gearmand', [...fixed, ...this.#args], {
      // It makes a file of the log's name, whatever that means to it.
      cwd: this.folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#process = child;
    let log = '';
    child.stderr.on('data', (text) => {
      log = `${log}${text}`.slice(-2000);
    });
    const ended = once(child, 'exit').then(([code]) => {
      throw new Error(`gearmand ended with ${code}:\n${log}`);
    });
    const running = new AbortController();
    // Beyond the start its end is no failure.
    await Promise.race([this.#answers(running.signal), ended]).finally(() => running.abort());
    ended.catch(() => {});
  }

  /** Ends it as a power cut does. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  /** What it answers to a command of its text protocol that ends with a line of one point. */
  async ask(command: string): Promise<string> {
    const socket = connect(this.port, '127.0.0.1');
    await once(socket, 'connect');
    socket.write(`${command}\n`);
    const text = await untilPoint(socket);
    socket.destroy();
    return text;
  }

  async status(name: string): Promise<FunctionStatus> {
    const line = (await this.ask('status')).split('\n').find((one) => one.startsWith(`${name}\t`));
    const [total = 0, running = 0, workers = 0] = line?.split('\t').slice(1).map(Number) ?? [];
    return { total, running, workers };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }

  async #answers(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.ask('status');
        return;
      } catch {
        await delay(10);
      }
    }
  }
}

async function untilPoint(socket: Socket): Promise<string> {
  let text = '';
  for await (const chunk of socket) {
    text += chunk;
    if (text === '.\n' || text.endsWith('\n.\n')) return text;
  }
  throw new Error('the server went away');
}
