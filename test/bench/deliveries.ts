import { AckStream, connect, type Delivery, DeliveryStream, work } from 'millrace';
import { peerDeliveries } from './all-peers.ts';
import { type Case, CONCURRENCY, check, type Job, together, turn } from './case.ts';
import { RawConsumer, type RawItem, type RawParcel } from './raw-consumer.ts';

/** A handler that adds up what it gets, and a promise of all. */
function adding(count: number) {
  let sum = 0;
  let taken = 0;
  let resolve = (): void => {};
  const all = new Promise<void>((done) => (resolve = done)).then(() => check(sum, count));
  const handler = async ({ id }: Job): Promise<void> => {
    await turn();
    sum += id;
    taken += 1;
    if (taken === count) resolve();
  };
  return { handler, all };
}

const RAW_TAKE = 256;

/** Handlers in lanes: when no more than one batch is held the next is asked for, and what is done goes with that. Waits where nothing is there. */
export async function drainRaw(url: string, queue: string, count: number): Promise<void> {
  const consumer = await RawConsumer.join(url, queue);
  const { handler, all } = adding(count);
  let ready: RawItem[] = [];
  let next = 0;
  let taken = 0;
  let started = 0;
  let held = 0;
  let taking: Promise<void> | undefined;
  const keep = (parcel: RawParcel): void => {
    taken += parcel.jobs.length;
    held += parcel.jobs.length;
    ready = ready.slice(next);
    next = 0;
    for (const [index, job] of parcel.jobs.entries()) ready.push({ job, parcel, index });
  };
  const size = together(RAW_TAKE);
  const take = async (): Promise<void> => {
    const parcel = await consumer.take(size);
    if (parcel) keep(parcel);
    else await consumer.wait();
    taking = undefined;
  };
  const lane = async (): Promise<void> => {
    while (started < count) {
      const item = ready[next];
      if (!item) {
        taking ??= take();
        await taking;
        continue;
      }
      next += 1;
      started += 1;
      await handler(item.job);
      consumer.done(item);
      held -= 1;
      if (held <= size && taken < count) taking ??= take();
    }
  };
  await Promise.all([all, ...Array.from({ length: CONCURRENCY }, lane)]);
  await consumer.flush();
  await consumer.close();
}

export async function drainByAckStream(url: string, queue: string, count: number): Promise<void> {
  await using connection = connect(url);
  const { handler, all } = adding(count);
  const stream = new DeliveryStream(queue, { connection });
  stream.pipe(new AckStream(handler, { concurrency: CONCURRENCY }));
  await all;
}

async function drainByWork(url: string, queue: string, count: number): Promise<void> {
  await using connection = connect(url);
  const { handler, all } = adding(count);
  await using _service = work(queue, handler, { connection, concurrency: CONCURRENCY });
  await all;
}

async function drainByForAwait(url: string, queue: string, count: number): Promise<void> {
  await using connection = connect(url);
  const { handler, all } = adding(count);
  let taken = 0;
  let running = 0;
  let oneIsDone = (): void => {};
  const whenOneIsDone = (): Promise<void> => new Promise((resolve) => (oneIsDone = resolve));
  const handle = async (delivery: Delivery<Job>): Promise<void> => {
    running += 1;
    await handler(delivery.value);
    void delivery.ack();
    running -= 1;
    oneIsDone();
  };
  for await (const delivery of new DeliveryStream<Job>(queue, { connection })) {
    void handle(delivery);
    taken += 1;
    // What is not settled when the loop is left goes back.
    while (running >= CONCURRENCY || (taken === count && running > 0)) await whenOneIsDone();
    if (taken === count) break;
  }
  await all;
}

export const BY_ACK_STREAM = 'DeliveryStream → AckStream';
export const RAW = 'raw: the same scripts, 256 at a time';

export const deliveries: Record<string, Case> = {
  [RAW]: drainRaw,
  [BY_ACK_STREAM]: drainByAckStream,
  'work()': drainByWork,
  'for await, ack()': drainByForAwait,
  ...peerDeliveries,
};
