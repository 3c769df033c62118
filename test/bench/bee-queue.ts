import { CONCURRENCY, check, type Job, job, turn } from './case.ts';
import { BATCH, type Peer, placeOf, sendInLanes } from './peer.ts';
import { requirePeer } from './peers.ts';

/** What of bee-queue is used. */
type BeeQueue = new (
  name: string,
  options: object,
) => {
  createJob(data: Job): { save(): Promise<unknown> };
  saveAll(jobs: readonly object[]): Promise<Map<object, Error>>;
  process(concurrency: number, handler: (job: { readonly data: Job }) => Promise<void>): void;
  on(event: string, listener: (...args: never[]) => void): void;
  ready(): Promise<unknown>;
  close(timeout?: number): Promise<void>;
};

/** As its documentation has it for who only adds: no connections for events or for work, no job kept in memory. */
const producing = { isWorker: false, getEvents: false, sendEvents: false, storeJobs: false };

/** Nobody listens to the events of other processes, and what is done is removed. */
const consuming = { getEvents: false, sendEvents: false, storeJobs: false, removeOnSuccess: true };

function open(url: string, queue: string, options: object): InstanceType<BeeQueue> {
  return new (requirePeer<BeeQueue>('bee-queue'))(queue, { redis: placeOf(url), ...options });
}

async function push(url: string, queue: string, count: number): Promise<void> {
  const target = open(url, queue, producing);
  await sendInLanes(count, 2, BATCH, async (first, size) => {
    const jobs = Array.from({ length: size }, (_, index) => target.createJob(job(first + index)));
    const [error] = (await target.saveAll(jobs)).values();
    if (error) throw error;
  });
  await target.close();
}

/** Done when the last is known to be settled. */
async function drain(url: string, queue: string, count: number): Promise<void> {
  const source = open(url, queue, consuming);
  let sum = 0;
  let settled = 0;
  await new Promise<void>((resolve, reject) => {
    source.on('succeeded', () => {
      settled += 1;
      if (settled === count) resolve();
    });
    source.on('failed', (_job, error) => reject(error));
    source.on('error', reject);
    source.process(CONCURRENCY, async ({ data }) => {
      await turn();
      sum += data.id;
    });
  });
  await source.close();
  check(sum, count);
}

export const beeQueue: Peer = {
  broker: 'redis',
  share: 1 / 10,
  push: { name: `bee-queue saveAll(), ${BATCH}, two in flight, no events`, run: push },
  drain: { name: `bee-queue process(), concurrency ${CONCURRENCY}, no events, removeOnSuccess`, run: drain },
  flow: { name: 'bee-queue saveAll() → process()', push, drain },
  waiting: (redis, queue) => redis.llen(`bq:${queue}:waiting`),
  line: {
    name: 'bee-queue save() → process()',
    async open(url, queue, arrived) {
      const producer = open(url, queue, producing);
      const consumer = open(url, queue, consuming);
      consumer.process(1, async ({ data }) => arrived(data.id));
      await Promise.all([producer.ready(), consumer.ready()]);
      return {
        send: (value) => producer.createJob(value).save(),
        close: () => Promise.all([producer.close(), consumer.close()]),
      };
    },
  },
};
