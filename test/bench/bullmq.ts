import type { EventEmitter } from 'node:events';
import { CONCURRENCY, check, type Job, job, together, turn } from './case.ts';
import { BATCH, type Peer, sendInLanes } from './peer.ts';
import { requirePeer } from './peers.ts';

interface Addition {
  readonly name: string;
  readonly data: Job;
  readonly opts: { readonly removeOnComplete: boolean };
}

/** What of BullMQ is used. */
interface BullMq {
  readonly Queue: new (
    name: string,
    options: { connection: { url: string } },
  ) => {
    add(name: string, data: Job, opts: Addition['opts']): Promise<unknown>;
    addBulk(jobs: readonly Addition[]): Promise<unknown>;
    close(): Promise<void>;
  };
  readonly Worker: new (
    name: string,
    processor: (job: { readonly data: Job }) => Promise<void>,
    options: { connection: { url: string }; concurrency: number },
  ) => EventEmitter & { waitUntilReady(): Promise<unknown>; close(): Promise<void> };
}

const opts = { removeOnComplete: true };

/** Adds the jobs in batches as large as those of others. */
async function push(url: string, queue: string, count: number): Promise<void> {
  const target = new (requirePeer<BullMq>('bullmq').Queue)(queue, { connection: { url } });
  await sendInLanes(count, 2, together(BATCH), (first, size) =>
    target.addBulk(Array.from({ length: size }, (_, index) => ({ name: 'job', data: job(first + index), opts }))),
  );
  await target.close();
}

/** Works through jobs that are there already; done when the last is known to be completed. */
async function drain(url: string, queue: string, count: number): Promise<void> {
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
}

export const bullMq: Peer = {
  broker: 'redis',
  share: 1 / 20,
  push: { name: `BullMQ addBulk(), ${BATCH}, two in flight, removeOnComplete`, run: push },
  drain: { name: `BullMQ Worker, concurrency ${CONCURRENCY}`, run: drain },
  flow: { name: 'BullMQ addBulk() → Worker', push, drain },
  waiting: (redis, queue) => redis.llen(`bull:${queue}:wait`),
  line: {
    name: 'BullMQ add() → Worker',
    async open(url, queue, arrived) {
      const { Queue, Worker } = requirePeer<BullMq>('bullmq');
      const connection = { url };
      const producer = new Queue(queue, { connection });
      const consumer = new Worker(queue, async ({ data }) => arrived(data.id), { connection, concurrency: 1 });
      await consumer.waitUntilReady();
      return {
        send: (value) => producer.add('job', value, opts),
        close: () => Promise.all([producer.close(), consumer.close()]),
      };
    },
  },
};
