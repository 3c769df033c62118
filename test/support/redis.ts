import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Redis, type RedisOptions } from 'ioredis';

/** A port that nothing listens at. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** The name, to the server, of clients that are the test's own. */
export const TEST_CLIENT = 'test';

/** A real redis-server of the test's own, on a free port, in a folder of its own. */
export class RedisServer implements AsyncDisposable {
  readonly port: number;
  readonly #args: readonly string[];
  readonly #folder: string;
  readonly #clients = new Set<Redis>();
  #process: ChildProcess | undefined;

  private constructor(port: number, folder: string, args: readonly string[]) {
    this.port = port;
    this.#folder = folder;
    this.#args = args;
  }

  /** Starts a server; `args` are those of its command line, as `--requirepass`, `secret`. */
  static async start(...args: string[]): Promise<RedisServer> {
    const folder = await mkdtemp(join(tmpdir(), 'millrace-redis-'));
    const server = new RedisServer(await freePort(), folder, args);
    await server.start();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Which process it is; absent while it does not run. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Starts it again after {@link stop} or {@link kill}; resolves when it takes connections. */
  async start(): Promise<void> {
    const fixed = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.#folder, '--save', ''];
    const child = spawn('redis-server', [...fixed, ...this.#args], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#process = child;
    const lines = createInterface({ input: child.stdout });
    const log: string[] = [];
    const ready = new Promise<void>((resolve, reject) => {
      lines.on('line', (line) => {
        log.push(line);
        if (line.includes('Ready to accept connections')) resolve();
      });
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`redis-server ended with ${code}:\n${log.join('\n')}`)));
    });
    await ready;
    log.length = 0;
    lines.removeAllListeners('line').on('line', () => {});
  }

  /** How many clients of the test itself are open. */
  get clients(): number {
    return this.#clients.size;
  }

  /** A client for the test itself, closed with the server. */
  client(options: RedisOptions = {}): Redis {
    const client = new Redis({
      connectionName: TEST_CLIENT,
      ...(options as object),
      port: this.port,
      host: '127.0.0.1',
    });
    client.on('error', () => {});
    this.#clients.add(client);
    return client;
  }

  /** Ends it in order; what it has is kept only if it appends to a file. */
  stop(): Promise<void> {
    return this.#end('SIGTERM');
  }

  /** Ends it as a power cut does. */
  kill(): Promise<void> {
    return this.#end('SIGKILL');
  }

  /** Stops, or continues, its process: it takes connections and answers nothing meanwhile. */
  freeze(frozen: boolean): void {
    this.#process?.kill(frozen ? 'SIGSTOP' : 'SIGCONT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.disconnect();
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }
}
