/** Drains queues in every way with one highWaterMark, or the default, as often as it is told to: `prefetch-worker.ts <highWaterMark> <url>`. */
import { Redis } from 'ioredis';
import { AckStream, type Connection, connect, DeliveryStream, PullStream } from 'millrace';
import { CONCURRENCY, job, turn } from './case.ts';
import { fill } from './growth-redis.ts';
import { DEFAULT, type PrefetchRates, type PrefetchTask } from './prefetch.ts';
import { doTasks } from './tasks.ts';

const [highWaterMark = '', url = ''] = process.argv.slice(2);
const QUEUE = 'prefetch';

type Options = { connection: Connection; highWaterMark?: number };

async function byData(options: Options, count: number): Promise<void> {
  let taken = 0;
  await new Promise<void>((resolve) => {
    new PullStream(QUEUE, options).on('data', () => {
      taken += 1;
      if (taken === count) resolve();
    });
  });
}

async function byForAwait(options: Options, count: number): Promise<void> {
  let taken = 0;
  for await (const _ of new PullStream(QUEUE, options)) {
    taken += 1;
    if (taken === count) break;
  }
}

async function byDeliveries(options: Options, count: number): Promise<void> {
  let taken = 0;
  await new Promise<void>((resolve) => {
    const handler = async (): Promise<void> => {
      await turn();
      taken += 1;
      if (taken === count) resolve();
    };
    new DeliveryStream(QUEUE, options).pipe(new AckStream(handler, { concurrency: CONCURRENCY }));
  });
}

/** Thousand items a second of one way, which begins with a full queue. */
async function rateOf(way: (options: Options, count: number) => Promise<void>, count: number): Promise<number> {
  const redis = new Redis(url);
  await redis.flushall();
  await fill(redis, QUEUE, count, job(0));
  redis.disconnect();
  await using connection = connect(url);
  const options = highWaterMark === DEFAULT ? { connection } : { connection, highWaterMark: Number(highWaterMark) };
  const start = performance.now();
  await way(options, count);
  return count / (performance.now() - start);
}

const ways = [byData, byForAwait, byDeliveries];
doTasks(async ({ count }: PrefetchTask): Promise<PrefetchRates> => {
  const rates: number[] = [];
  for (const way of ways) rates.push(await rateOf(way, count));
  return rates;
});
