import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import { freePort } from '../support/redis.ts';

/** A nats-server for the benchmark, on a free port. */
export class NatsServer implements AsyncDisposable {
  readonly url: string;
  readonly #process: ChildProcess;

  private constructor(url: string, process: ChildProcess) {
    this.url = url;
    this.#process = process;
  }

  /** Starts one; nothing where there is none, and none can be installed. */
  static async start(): Promise<NatsServer | undefined> {
    if (!isInstalled()) install();
    if (!isInstalled()) return undefined;
    const port = await freePort();
    const child = spawn('nats-server', ['-a', '127.0.0.1', '-p', String(port)], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const lines = createInterface({ input: child.stderr });
    await new Promise<void>((resolve, reject) => {
      lines.on('line', (line) => line.includes('Server is ready') && resolve());
      child.once('exit', (code) => reject(new Error(`nats-server ended with ${code}`)));
    });
    return new NatsServer(`nats://127.0.0.1:${port}`, child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.removeAllListeners('exit');
    this.#process.kill();
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
