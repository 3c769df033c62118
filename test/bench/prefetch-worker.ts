/** Drains queues in every way with one highWaterMark, 0 for the default, and prints the rates: `prefetch-worker.ts <url> <highWaterMark> <count>`. */
import { Redis } from 'ioredis';
import { AckStream, type Connection, connect, DeliveryStream, PullStream } from 'millrace';
import { CONCURRENCY, job, turn } from './case.ts';
import { fill } from './growth-redis.ts';
import type { PrefetchFigures } from './prefetch.ts';

const [url = '', highWaterMark = '', size = ''] = process.argv.slice(2);
const count = Number(size);
const QUEUE = 'prefetch';

type Options = { connection: Connection; highWaterMark?: number };

async function byData(options: Options): Promise<void> {
  let taken = 0;
  await new Promise<void>((resolve) => {
    new PullStream(QUEUE, options).on('data', () => {
      taken += 1;
      if (taken === count) resolve();
    });
  });
}

async function byForAwait(options: Options): Promise<void> {
  let taken = 0;
  for await (const _ of new PullStream(QUEUE, options)) {
    taken += 1;
    if (taken === count) break;
  }
}

async function byDeliveries(options: Options): Promise<void> {
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
async function rateOf(way: (options: Options) => Promise<void>): Promise<number> {
  const redis = new Redis(url);
  await fill(redis, QUEUE, count, job(0));
  redis.disconnect();
  await using connection = connect(url);
  const options = Number(highWaterMark) > 0 ? { connection, highWaterMark: Number(highWaterMark) } : { connection };
  const start = performance.now();
  await way(options);
  return count / (performance.now() - start);
}

const ways = [byData, byForAwait, byDeliveries];
// The compiler is at work at first.
for (const way of ways) await rateOf(way);
const rates: number[] = [];
for (const way of ways) rates.push(await rateOf(way));
process.stdout.write(JSON.stringify({ rates } satisfies PrefetchFigures));
