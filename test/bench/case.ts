/** One way to do a piece of work: moves `count` jobs through `queue` and resolves when all are through. */
export type Case = (url: string, queue: string, count: number) => Promise<void>;

/** What the process of a case is told to do: to move so many jobs through this queue, and of about how many bytes, if not as usual. */
export interface Move {
  readonly queue: string;
  readonly count: number;
  readonly bytes?: number | undefined;
}

/** A job as it usually is. */
function thumbnail(id: number) {
  return { id, name: 'thumbnail', file: `/var/uploads/2026/11/20/${id}.jpeg`, width: 640, height: 480, quality: 0.82 };
}

export type Job = ReturnType<typeof thumbnail>;

/** About how many bytes of JSON a job has. */
const USUAL_BYTES = 120;

let bytes = USUAL_BYTES;
let text = '';

/** Has this process move jobs of about so many bytes from now on, in every way. */
export function useBytes(wanted = USUAL_BYTES): void {
  bytes = wanted;
  text = 'x'.repeat(Math.max(0, bytes - USUAL_BYTES));
}

/** A job of as many bytes as this process is to move, no fewer than its number takes. */
export function job(id: number): Job {
  if (bytes < USUAL_BYTES) return { id } as Job;
  return text === '' ? thumbnail(id) : Object.assign(thumbnail(id), { text });
}

/** How many jobs go together: so many, but of large ones no more than about 1 MiB. */
export function together(count: number): number {
  return Math.max(1, Math.min(count, Math.floor(2 ** 20 / bytes)));
}

/** Whether the jobs were those that had been pushed. */
export function check(sum: number, count: number): void {
  if (sum !== (count * (count - 1)) / 2) throw new Error(`other jobs came out than went in: ${sum}`);
}

/** How many handlers are at work at a time. */
export const CONCURRENCY = 100;

/** What a handler waits for. It is asynchronous in earnest, and takes as little time as that can. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
