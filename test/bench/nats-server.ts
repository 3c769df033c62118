import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { freePort } from '../support/redis.ts';

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
    if (!isInstalled()) install();
    if (!isInstalled()) return undefined;
    const port = await freePort();
    const folder = await mkdtemp(join(tmpdir(), 'millrace-nats-'));
    const child = spawn('nats-server', ['-a', '127.0.0.1', '-p', String(port), '-js', '-sd', folder], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const lines = createInterface({ input: child.stderr });
    await new Promise<void>((resolve, reject) => {
      lines.on('line', (line) => line.includes('Server is ready') && resolve());
      child.once('exit', (code) => reject(new Error(`nats-server ended with ${code}`)));
    });
    return new NatsServer(`nats://127.0.0.1:${port}`, folder, child);
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.removeAllListeners('exit');
    const ended = once(this.#process, 'exit');
    this.#process.kill();
    await ended;
    await rm(this.#folder, { recursive: true, force: true });
  }
}

function isInstalled(): boolean {
  return spawnSync('nats-server', ['--version']).error === undefined;
}

function install(): void {
  process.stderr.write('installing nats-server to compare with\n');
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  spawnSync('apt-get', ['install', '-y', '--no-install-recommends', 'nats-server'], { env, stdio: 'ignore' });
}
