import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type Connection, work } from '../../lib/index.ts';
import { hash } from './hash.ts';

/** Somebody who hashes files until told to stop. */
export interface Worker {
  /** Tells it to pull no more. What it has pulled it still does. */
  stop(): void;
  /** Resolves when it has stored its last result. Rejects when it could not. */
  readonly ended: Promise<void>;
}

export interface WorkerProcess extends Worker {
  readonly pid: number | undefined;
}

/** Where the results for the paths in a queue go. */
export function resultsOf(queue: string): string {
  return `${queue}:results`;
}

/** As long as a timer can be set: a file may be large, and who does not want to wait presses Ctrl-C again. */
const PATIENCE = 2 ** 31 - 1;

/** Milliseconds after which others get what a dead process held: few, for who tries it out does not want to wait. */
export const LEASE = 3000;

/** Starts a worker in this process. A result is stored in the step that settles its path: so there is one for each, whoever dies when. */
export function startWorker(queue: string, connection: Connection): Worker {
  const service = work(queue, hash, {
    connection,
    to: resultsOf(queue),
    leaseTimeout: LEASE,
    // A file is not to blame for a kill -9: it is never given up.
    maxAttempts: Number.MAX_SAFE_INTEGER,
    // A file takes longer than the asking for its path: one in advance is enough, and the rest is there for other workers.
    highWaterMark: 2,
  });
  // What goes wrong in closing is told by `closed`.
  return { stop: () => void service.close({ timeout: PATIENCE }).catch(() => {}), ended: service.closed };
}

const children = new Set<ChildProcess>();

// Who quits in the middle leaves no worker behind.
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

/** Starts a worker in a process of its own. If it is killed another takes its place, and `say` is told. */
export function startWorkerProcess(queue: string, url: string, say: (message: string) => void): WorkerProcess {
  let child = forkWorker(queue, url);
  let isStopped = false;
  const run = async (): Promise<void> => {
    for (;;) {
      const [code, signal] = await once(child, 'exit');
      children.delete(child);
      // What a killed one held is in the queue again after a while, whoever works on it then.
      if (code === 0 || (signal && isStopped)) return;
      if (!signal) throw new Error(`A worker process ended with exit code ${code}`);
      const { pid } = child;
      child = forkWorker(queue, url);
      say(`Worker ${pid} was ended by ${signal}. Worker ${child.pid} takes its place; what was in hand is done again.`);
    }
  };
  const stop = (): void => {
    isStopped = true;
    // To one that has just died it comes too late.
    if (child.connected) child.send('stop', () => {});
  };
  return { pid: child.pid, stop, ended: run() };
}

function forkWorker(queue: string, url: string): ChildProcess {
  const child = fork(fileURLToPath(new URL('./worker-process.ts', import.meta.url)), [queue], {
    // The default of every stream's `connection`; unlike an argument nobody else can read it, and it may bear a password.
    env: { ...process.env, MILLRACE_URL: url },
    // A process group of its own: Ctrl-C in the terminal is for us alone, who then stop the workers in order.
    detached: true,
  });
  children.add(child);
  return child;
}
