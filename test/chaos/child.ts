import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** What a script says, and what it is told. */
export type Message = Record<string, unknown>;

/** One of this folder's scripts in a process of its own: `parent.ts` is its side. */
export class Child implements AsyncDisposable {
  readonly name: string;
  readonly #process: ChildProcess;
  readonly #exited: Promise<[code: number | null, signal: string | null]>;
  readonly #said: Message[] = [];
  #done = 0;
  #isOver = false;
  #heard: (() => void) | undefined;

  /** Starts a script with settings; `url` is where its streams connect to by default. */
  constructor(script: string, url: string, settings: object, onDone?: (count: number) => void) {
    const file = fileURLToPath(new URL(script, import.meta.url));
    const child = fork(file, [JSON.stringify(settings)], {
      execArgv: ['--import', 'tsx'],
      env: { ...process.env, MILLRACE_URL: url },
    });
    this.name = `${script} (process ${child.pid})`;
    this.#process = child;
    child.on('message', (message: Message) => {
      const { done } = message;
      if (typeof done === 'number') {
        this.#done += done;
        onDone?.(done);
      } else {
        this.#said.push(message);
        this.#heard?.();
      }
    });
    this.#exited = once(child, 'exit').then(([code, signal]) => {
      this.#isOver = true;
      this.#heard?.();
      return [code, signal];
    });
  }

  /** How much it has said to have done. */
  get done(): number {
    return this.#done;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  tell(message: Message): void {
    this.#process.send(message);
  }

  /** What it says next under a name. Rejects when it ends without. */
  async hear<Said>(about: string): Promise<Said> {
    for (;;) {
      const index = this.#said.findIndex((message) => about in message);
      if (index >= 0) return this.#said.splice(index, 1)[0]?.[about] as Said;
      if (this.#isOver) throw new Error(`${this.name} has ended, and never said: ${about}`);
      await new Promise<void>((resolve) => {
        this.#heard = resolve;
      });
    }
  }

  /** Stops it wherever it is, or lets it go on. */
  freeze(frozen: boolean): void {
    this.#process.kill(frozen ? 'SIGSTOP' : 'SIGCONT');
  }

  /** Ends it as a power cut does. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.killed();
  }

  /** Resolves when it is killed; rejects when it ends in another way. */
  async killed(): Promise<void> {
    const [code, signal] = await this.#exited;
    if (signal !== 'SIGKILL') throw new Error(`${this.name} has ended with ${signal ?? `exit code ${code}`}`);
  }

  /** Asks it to end, and resolves when it has; rejects when it ends in another way than in order. */
  async stop(): Promise<void> {
    if (this.#process.connected) this.#process.disconnect();
    await this.ended();
  }

  /** Resolves when it has ended in order; rejects when it ends in another way. */
  async ended(): Promise<void> {
    const [code, signal] = await this.#exited;
    if (code !== 0) throw new Error(`${this.name} has ended with ${signal ?? `exit code ${code}`}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isOver) return;
    this.#process.kill('SIGKILL');
    await this.#exited;
  }
}
