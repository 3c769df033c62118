import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { type Connection, PullStream, PushStream } from '../../lib/index.ts';
import { hash } from './hash.ts';

/** Somebody who hashes files until told to stop. */
export interface Worker {
  /** Tells it to pull no more. What it has pulled it still does. */
  stop(): void;
  /** Resolves when it has stored its last result. Rejects when it could not. */
  readonly ended: Promise<void>;
}

/** Where the results for the paths in a queue go. */
export function resultsOf(queue: string): string {
  return `${queue}:results`;
}

/** As long as a timer can be set: a file may be large, and who does not want to wait presses Ctrl-C again. */
const PATIENCE = 2 ** 31 - 1;

/** Starts a worker in this process: a pipeline from one queue to another. */
export function startWorker(queue: string, connection: Connection): Worker {
  // A file takes longer than the asking for its path: one in advance is enough, and the rest is there for other workers.
  const paths = new PullStream<string>(queue, { connection, highWaterMark: 1 });
  const ended = pipeline(paths, hash, new PushStream(resultsOf(queue), { connection }));
  // What goes wrong in closing is told by `ended`.
  return { stop: () => void paths.close({ timeout: PATIENCE }).catch(() => {}), ended };
}

const children = new Set<ChildProcess>();

// Who quits in the middle leaves no worker behind.
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

/** Starts a worker in a process of its own. It stops, too, when this process is gone without a word. */
export function startWorkerProcess(queue: string, url: string): Worker {
  const child = fork(fileURLToPath(new URL('./worker-process.ts', import.meta.url)), [queue], {
    // The default of every stream's `connection`; unlike an argument nobody else can read it, and it may bear a password.
    env: { ...process.env, MILLRACE_URL: url },
    // A process group of its own: Ctrl-C in the terminal is for us alone, who then stop the workers in order.
    detached: true,
  });
  children.add(child);
  const ended = once(child, 'exit').then(([code, signal]) => {
    children.delete(child);
    if (code !== 0) throw new Error(`A worker process ended with ${signal ?? `exit code ${code}`}`);
  });
  return { stop: () => child.connected && child.disconnect(), ended };
}
