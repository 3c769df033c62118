import { pipeline } from 'node:stream/promises';
import { connect, DeliveryStream, PushStream, WorkTransform } from 'millrace';
import { type Case, CONCURRENCY, check, type Job, turn } from './case.ts';
import { RawConsumer, type RawParcel } from './raw-consumer.ts';

/** Where the results go. */
export function resultsOf(queue: string): string {
  return `${queue}-results`;
}

/** What is made of a job. */
async function resized(job: Job): Promise<Job> {
  await turn();
  return { ...job, width: job.width / 2, height: job.height / 2 };
}

const RAW_BATCH = 256;

/** Two loops, each with a batch at a time: it is taken in the same write as the results of the one before are stored. */
async function hopRaw(url: string, queue: string, count: number): Promise<void> {
  const consumer = await RawConsumer.join(url, queue);
  const target = resultsOf(queue);
  const record = `{${target}}:producer:raw`;
  const where = [`{${target}}:marks`, `{${target}}:delayed`] as const;
  const { redis } = consumer;
  let sum = 0;
  let taken = 0;
  let next = 1;
  let stored = 0;
  const store = async (parcel: RawParcel, items: readonly string[]): Promise<void> => {
    const { keys, args } = consumer.settlementOf(parcel);
    const first = next;
    next += items.length;
    const how = [0, 'LPUSH', first, stored, 3600, 0, 0, `millrace:wake:{${target}}`, 0];
    stored = await redis.millraceHop(target, record, ...where, ...keys, ...how, ...args, ...items);
  };
  const loop = async (): Promise<void> => {
    let storing: Promise<void> | undefined;
    while (taken < count) {
      const max = Math.min(RAW_BATCH, count - taken);
      taken += max;
      const [parcel] = await Promise.all([consumer.take(max), storing]);
      if (parcel?.jobs.length !== max) throw new Error('the queue is empty');
      for (const { id } of parcel.jobs) sum += id;
      const results = await Promise.all(parcel.jobs.map(resized));
      storing = store(
        parcel,
        results.map((result) => JSON.stringify(result)),
      );
    }
    await storing;
  };
  await Promise.all([loop(), loop()]);
  check(sum, count);
  await redis.unlink(record);
  await consumer.close();
}

async function hopByStreams(url: string, queue: string, count: number): Promise<void> {
  await using connection = connect(url);
  let sum = 0;
  let taken = 0;
  const source = new DeliveryStream<Job>(queue, { connection });
  const work = new WorkTransform<Job, Job>(
    (job) => {
      sum += job.id;
      taken += 1;
      // It ends when all that has been taken is stored.
      if (taken === count) void source.close();
      return resized(job);
    },
    { concurrency: CONCURRENCY },
  );
  await pipeline(source, work, new PushStream(resultsOf(queue), { connection }));
  check(sum, count);
}

export const RAW = 'raw: take 256, store and settle 256';

export const hops: Record<string, Case> = {
  [RAW]: hopRaw,
  'DeliveryStream → WorkTransform → PushStream': hopByStreams,
};
