import type { EventEmitter } from 'node:events';
import { CONCURRENCY, check, type Job, job, turn } from './case.ts';
import { IN_FLIGHT, type Peer, placeOf, sendInLanes } from './peer.ts';
import { requirePeer } from './peers.ts';

/** What of node-resque is used. */
interface NodeResque {
  readonly Queue: new (
    options: object,
  ) => EventEmitter & {
    connect(): Promise<void>;
    enqueue(queue: string, job: string, args: readonly Job[]): Promise<unknown>;
    end(): Promise<void>;
  };
  readonly MultiWorker: new (
    options: object,
    jobs: object,
  ) => EventEmitter & { start(): void; end(): Promise<void>; eventLoopBlocked: boolean };
  readonly Worker: new (
    options: object,
    jobs: object,
  ) => EventEmitter & { connect(): Promise<void>; start(): Promise<void>; end(): Promise<void> };
}

const NAME = 'thumbnail';

/** For how long a worker that finds nothing sleeps, in milliseconds: nothing in it waits. */
const POLL = 5;

async function openQueue(url: string): Promise<InstanceType<NodeResque['Queue']>> {
  const target = new (requirePeer<NodeResque>('node-resque').Queue)({ connection: placeOf(url) });
  await target.connect();
  return target;
}

/** It has no batches: many jobs are on their way at a time, which ioredis sends together. */
async function push(url: string, queue: string, count: number): Promise<void> {
  const target = await openQueue(url);
  await sendInLanes(count, IN_FLIGHT, 1, (id) => target.enqueue(queue, NAME, [job(id)]));
  await target.end();
}

/** Opens one that takes the event loop for free: by itself it looks at that by a timer, which goes on for ever behind its end. */
function openMultiWorker(options: object, jobs: object): InstanceType<NodeResque['MultiWorker']> {
  class MultiWorker extends requirePeer<NodeResque>('node-resque').MultiWorker {
    PollEventLoopDelay(): void {
      this.eventLoopBlocked = false;
    }
  }
  return new MultiWorker(options, jobs);
}

/**
 * As many task processors as others have handlers. It starts one each time that it looks whether the event loop is free: it looks always,
 * for its usual half a second would have it start them for most of a minute.
 */
async function drain(url: string, queue: string, count: number): Promise<void> {
  const processors = { minTaskProcessors: CONCURRENCY, maxTaskProcessors: CONCURRENCY };
  const pace = { timeout: POLL, checkTimeout: 1 };
  const options = { connection: placeOf(url), queues: [queue], ...processors, ...pace };
  let sum = 0;
  const perform = async ({ id }: Job): Promise<void> => {
    await turn();
    sum += id;
  };
  const worker = openMultiWorker(options, { [NAME]: { perform } });
  await new Promise<void>((resolve, reject) => {
    let settled = 0;
    worker.on('success', () => {
      settled += 1;
      if (settled === count) resolve();
    });
    worker.on('failure', (_worker, _queue, _job, error) => reject(error));
    worker.on('error', reject);
    worker.start();
  });
  await worker.end();
  check(sum, count);
}

export const nodeResque: Peer = {
  broker: 'redis',
  share: 1 / 40,
  push: { name: `node-resque enqueue(), ${IN_FLIGHT} in flight`, run: push },
  drain: { name: `node-resque MultiWorker, ${CONCURRENCY} task processors`, run: drain },
  flow: { name: 'node-resque enqueue() → MultiWorker', push, drain },
  waiting: (redis, queue) => redis.llen(`resque:queue:${queue}`),
  line: {
    name: `node-resque enqueue() → Worker, which polls each ${POLL} ms`,
    async open(url, queue, arrived) {
      const producer = await openQueue(url);
      const perform = async ({ id }: Job): Promise<void> => arrived(id);
      const options = { connection: placeOf(url), queues: [queue], timeout: POLL };
      const consumer = new (requirePeer<NodeResque>('node-resque').Worker)(options, { [NAME]: { perform } });
      await consumer.connect();
      await consumer.start();
      return {
        send: (value) => producer.enqueue(queue, NAME, [value]),
        close: () => Promise.all([producer.end(), consumer.end()]),
      };
    },
  },
};
