import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** A program in samples/, run as a user would run it, in a process group of its own. */
export class Program implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #lines: Record<'stdout' | 'stderr', Interface>;
  readonly #text = { stdout: '', stderr: '' };
  /** Resolves when it has ended by itself, or by a signal, and all its output is here. */
  readonly ended: Promise<Outcome>;

  constructor(path: string, args: string[] = [], env: NodeJS.ProcessEnv = {}) {
    this.#child = spawn(process.execPath, ['--import', 'tsx', path, ...args], {
      cwd: ROOT,
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    const read = (name: 'stdout' | 'stderr'): Interface => {
      this.#child[name].setEncoding('utf8').on('data', (text) => {
        this.#text[name] += text;
      });
      return createInterface({ input: this.#child[name] });
    };
    this.#lines = { stdout: read('stdout'), stderr: read('stderr') };
    this.ended = once(this.#child, 'close').then(([code]) => ({ code, ...this.#text }));
  }

  /** Gives it lines to read. */
  input(...lines: string[]): void {
    this.#child.stdin.end(lines.map((line) => `${line}\n`).join(''));
  }

  /** Resolves with the next line that matches; rejects when the program ends without one. */
  async line(from: 'stdout' | 'stderr', pattern: RegExp): Promise<string> {
    const found = new Promise<string>((resolve) => {
      this.#lines[from].on('line', (line) => pattern.test(line) && resolve(line));
    });
    const missed = this.ended.then((outcome) => {
      throw new Error(`It ended without a line like ${pattern}: ${JSON.stringify(outcome)}`);
    });
    return Promise.race([found, missed]);
  }

  /** What a Ctrl-C in a terminal does: the whole group gets the signal. */
  interrupt(): void {
    if (this.#child.pid !== undefined) process.kill(-this.#child.pid, 'SIGINT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.ended;
  }
}

/** What a program does when it is left alone. */
export async function run(path: string, ...args: string[]): Promise<Outcome> {
  await using program = new Program(path, args);
  return await program.ended;
}
