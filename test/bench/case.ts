/** One way to do a piece of work: moves `count` jobs through `queue` and resolves when all are through. */
export type Case = (url: string, queue: string, count: number) => Promise<void>;

/** A job of about 120 bytes of JSON. */
export function job(id: number) {
  return { id, name: 'thumbnail', file: `/var/uploads/2026/11/20/${id}.jpeg`, width: 640, height: 480, quality: 0.82 };
}

export type Job = ReturnType<typeof job>;

/** Whether the jobs were those that had been pushed. */
export function check(sum: number, count: number): void {
  if (sum !== (count * (count - 1)) / 2) throw new Error(`other jobs came out than went in: ${sum}`);
}

/** How many handlers are at work at a time. */
export const CONCURRENCY = 100;

/** For who is alone at a queue, and need not leave anything to others: so many items are held. */
export const TUNED = { highWaterMark: 4096 };

/** What a handler waits for. It is asynchronous in earnest, and takes as little time as that can. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
