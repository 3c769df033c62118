import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** For how long to ask, and how many requests are in flight at a time. */
export interface Ask {
  readonly milliseconds: number;
  readonly inFlight: number;
}

/** What that came to: thousand round trips a second, and microseconds of one. */
export interface RoundTrips {
  readonly rate: number;
  readonly p50: number;
  readonly p99: number;
  /** Microseconds of CPU of both ends, and of the server, for each request; absent where the system does not tell. */
  readonly cpu?: number | undefined;
  readonly serverCpu?: number | undefined;
  /** MB of who asks, at its peak. */
  readonly rss: number;
}

/** A process that asks in one way, with another that answers it: `requests-worker.ts`. It stays warm from one time to the next. */
export class AskingProcess implements AsyncDisposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** @param pid of the server, if its CPU time is to be known */
  static async start(name: string, url: string, pid: number | undefined): Promise<AskingProcess> {
    const file = fileURLToPath(new URL('requests-worker.ts', import.meta.url));
    const args = pid === undefined ? [name, url] : [name, url, String(pid)];
    const asking = new AskingProcess(fork(file, args, { execArgv: ['--import', 'tsx'] }));
    await asking.#message();
    return asking;
  }

  /** Rejects when the process has ended instead. */
  async ask(ask: Ask): Promise<RoundTrips> {
    const asked = this.#message();
    this.#child.send(ask);
    return (await asked) as RoundTrips;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exited = once(this.#child, 'exit');
    this.#child.disconnect();
    await exited;
  }

  async #message(): Promise<unknown> {
    const ended = new AbortController();
    const end = (): void => ended.abort(new Error(`${this.#child.spawnargs.at(-1)} has ended`));
    this.#child.once('exit', end);
    try {
      const [message] = await once(this.#child, 'message', { signal: ended.signal });
      return message;
    } finally {
      this.#child.off('exit', end);
    }
  }
}
