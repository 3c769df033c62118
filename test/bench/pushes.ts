import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import { Redis } from 'ioredis';
import { connect, type PushOptions, PushStream } from 'millrace';
import { QueueKeys } from '../../lib/drivers/redis/keys.ts';
import { scripts } from '../../lib/drivers/redis/scripts/index.ts';
import { peerPushes } from './all-peers.ts';
import { type Case, job, together } from './case.ts';
import { RawProducer } from './raw-producer.ts';

const RAW_BATCH = 256;

/** Has `send` store the jobs in batches, two on their way at a time. */
async function pushInBatches(count: number, send: (items: readonly string[]) => Promise<unknown>): Promise<void> {
  const size = together(RAW_BATCH);
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) {
      const batch: string[] = [];
      for (let i = 0; i < size && next < count; i += 1) batch.push(JSON.stringify(job(next++)));
      await send(batch);
    }
  };
  await Promise.all([lane(), lane()]);
}

export async function pushRaw(url: string, queue: string, count: number): Promise<void> {
  const redis = new Redis(url);
  await pushInBatches(count, (items) => redis.lpush(queue, ...items));
  redis.disconnect();
}

/** Each item has a number, by which it is stored once: what is sent again is not stored again. */
export async function pushRawOnce(url: string, queue: string, count: number): Promise<void> {
  const redis = new Redis(url, { scripts });
  await once(redis, 'ready');
  const producer = new RawProducer(redis, new QueueKeys(queue));
  await pushInBatches(count, (items) => producer.push(items));
  await producer.forget();
  redis.disconnect();
}

function writing(options: PushOptions): Case {
  return async (url, queue, count) => {
    await using connection = connect(url);
    const stream = new PushStream(queue, { ...options, connection });
    for (let i = 0; i < count; i += 1) if (!stream.write(job(i))) await once(stream, 'drain');
    stream.end();
    await once(stream, 'finish');
  };
}

export const pushByWrite = writing({});

/** Twice what is the default: more waits while commands are on their way, so that the next batches are full. */
const TUNED_PUSH = { highWaterMark: 2048 };
const pushTuned = writing(TUNED_PUSH);

async function pushByPipeline(url: string, queue: string, count: number): Promise<void> {
  await using connection = connect(url);
  const jobs = function* () {
    for (let i = 0; i < count; i += 1) yield job(i);
  };
  await pipeline(jobs, new PushStream(queue, { connection }));
}

export const BY_WRITE = 'write()';
export const RAW = 'raw LPUSH 256, two in flight';
export const RAW_ONCE = 'raw numbered transactions, 256, two in flight';

export const pushes: Record<string, Case> = {
  [RAW]: pushRaw,
  [RAW_ONCE]: pushRawOnce,
  [BY_WRITE]: pushByWrite,
  [`write(), tuned: highWaterMark ${TUNED_PUSH.highWaterMark}`]: pushTuned,
  'pipeline()': pushByPipeline,
  ...peerPushes,
};
