import type { EventEmitter } from 'node:events';
import { type Case, CONCURRENCY, check, type Job, job, turn } from './case.ts';
import { requirePeer } from './peers.ts';

/** What of BullMQ is used. */
interface BullMq {
  readonly Queue: new (
    name: string,
    options: { connection: { url: string } },
  ) => {
    addBulk(jobs: readonly { name: string; data: Job; opts: { removeOnComplete: boolean } }[]): Promise<unknown>;
    close(): Promise<void>;
  };
  readonly Worker: new (
    name: string,
    processor: (job: { readonly data: Job }) => Promise<void>,
    options: { connection: { url: string }; concurrency: number },
  ) => EventEmitter & { close(): Promise<void> };
}

const BATCH = 128;

/** The list in which its jobs wait. */
export function bullList(queue: string): string {
  return `bull:${queue}:wait`;
}

/** Adds the jobs in batches as large as those of others, two on their way at a time. */
export const addInBulk: Case = async (url, queue, count) => {
  const { Queue } = requirePeer<BullMq>('bullmq');
  const target = new Queue(queue, { connection: { url } });
  const opts = { removeOnComplete: true };
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) {
      const batch: Parameters<typeof target.addBulk>[0][number][] = [];
      for (let i = 0; i < BATCH && next < count; i += 1) batch.push({ name: 'job', data: job(next++), opts });
      await target.addBulk(batch);
    }
  };
  await Promise.all([lane(), lane()]);
  await target.close();
};

/** Works through jobs that are there already; done when the last is known to be completed. */
export const workThrough: Case = async (url, queue, count) => {
  const { Worker } = requirePeer<BullMq>('bullmq');
  let sum = 0;
  let completed = 0;
  const handler = async ({ data }: { readonly data: Job }): Promise<void> => {
    await turn();
    sum += data.id;
  };
  const worker = new Worker(queue, handler, { connection: { url }, concurrency: CONCURRENCY });
  await new Promise<void>((resolve, reject) => {
    worker.on('completed', () => {
      completed += 1;
      if (completed === count) resolve();
    });
    worker.on('failed', (_job, error) => reject(error));
    worker.on('error', reject);
  });
  await worker.close();
  check(sum, count);
};
