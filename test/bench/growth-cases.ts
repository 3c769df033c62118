import { once } from 'node:events';
import { Redis } from 'ioredis';
import { AckStream, Client, type Connection, connect, DeliveryStream, PullStream, PushStream, serve } from 'millrace';
import { type Job, job, turn } from './case.ts';
import { fill, openClients } from './growth-redis.ts';
import { liveMegabytes } from './live.ts';

/** What a case measured at one size. */
export interface Growth {
  /** As the case's columns say. */
  readonly figures: readonly number[];
  /** How many clients of the server are open while all is open. */
  readonly clients: number;
  /** MB that are in use, garbage left out, while all is open. */
  readonly live: number;
}

/** Moves `count` items at one size, in queues whose names begin with `name`. */
export type GrowthCase = (url: string, name: string, size: number, count: number) => Promise<Growth>;

/** Begins to consume a queue; what it gives stops that, and puts back what nobody has read. */
type Open = (connection: Connection, queue: string, onItem: () => void) => AsyncDisposable;

const pulling: Open = (connection, queue, onItem) => new PullStream(queue, { connection }).on('data', onItem);

const delivering: Open = (connection, queue, onItem) => {
  const handler = async (): Promise<void> => {
    await turn();
    onItem();
  };
  const stream = new DeliveryStream(queue, { connection });
  stream.pipe(new AckStream(handler, { concurrency: 10 }));
  return stream;
};

/** Counts items, and resolves when a number of them has come. */
class Countdown {
  #left = 0;
  #done = (): void => {};

  readonly count = (): void => {
    this.#left -= 1;
    if (this.#left === 0) this.#done();
  };

  from(count: number): Promise<void> {
    this.#left = count;
    return new Promise((resolve) => {
      this.#done = resolve;
    });
  }
}

async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

async function push(stream: PushStream, count: number): Promise<void> {
  for (let id = 0; id < count; id += 1) if (!stream.write(job(id))) await once(stream, 'drain');
}

/** Items flow through `size` queues of one process, each with a stream that pushes and one that consumes. */
function queues(open: Open): GrowthCase {
  return async (url, name, size, count) => {
    await using connection = connect(url);
    const each = Math.ceil(count / size);
    const names = Array.from({ length: size }, (_, n) => `${name}:${n}`);
    const arrivals = new Countdown();
    const sources = names.map((queue) => new PushStream(queue, { connection }));
    const flow = async (items: number): Promise<void> => {
      const arrived = arrivals.from(items * size);
      await Promise.all(sources.map((source) => push(source, items)));
      await arrived;
    };
    for (const queue of names) open(connection, queue, arrivals.count);
    const opened = await secondsOf(() => flow(1));
    const seconds = await secondsOf(() => flow(each));
    return {
      figures: [(each * size) / seconds / 1000, opened * 1000],
      clients: await openClients(url),
      live: liveMegabytes(),
    };
  };
}

/** `size` PullStreams, which wait, get one queue that is full at once. */
const pullers: GrowthCase = async (url, name, size, count) => {
  await using connection = connect(url);
  const redis = new Redis(url);
  const arrivals = new Countdown();
  for (let n = 0; n < size; n += 1) pulling(connection, name, arrivals.count);
  await fill(redis, `${name}:source`, count, job(0));
  while ((await blocked(redis)) < size) await turn();
  const arrived = arrivals.from(count);
  const seconds = await secondsOf(async () => {
    await redis.rename(`${name}:source`, name);
    await arrived;
  });
  redis.disconnect();
  return { figures: [count / seconds / 1000], clients: await openClients(url), live: liveMegabytes() };
};

async function blocked(redis: Redis): Promise<number> {
  return Number(/^blocked_clients:(\d+)/m.exec(await redis.info('clients'))?.[1]);
}

/** How many times the length of a queue is asked for. */
const LOOKS = 100;

/** Pushes to, pulls from, and works on a queue of `size` items, and looks at how many there are. */
const length: GrowthCase = async (url, name, size, most) => {
  const count = Math.min(most, size);
  await using connection = connect(url);
  const redis = new Redis(url);
  await fill(redis, name, size, { id: 0 });
  const source = new PushStream(name, { connection });
  const seconds = await secondsOf(async () => {
    await push(source, count);
    await new Promise((resolve) => source.end(resolve));
  });
  const live = liveMegabytes();
  const pulled = await rateOf(pulling, url, name, count);
  // The last batch that was pulled may have been more than was asked for.
  const delivered = await rateOf(delivering, url, name, Math.min(count, await redis.llen(name)));
  const looked = await secondsOf(async () => {
    for (let n = 0; n < LOOKS; n += 1) await connection.inspect(name);
  });
  const clients = await openClients(url);
  await redis.unlink(name);
  redis.disconnect();
  return { figures: [count / seconds / 1000, pulled, delivered, (looked / LOOKS) * 1000], clients, live };
};

/** Thousand items a second, of the first `count` of a queue. */
async function rateOf(open: Open, url: string, queue: string, count: number): Promise<number> {
  await using connection = connect(url);
  const arrivals = new Countdown();
  const arrived = arrivals.from(count);
  const start = performance.now();
  await using _stream = open(connection, queue, arrivals.count);
  await arrived;
  return count / (performance.now() - start);
}

/** Asks with `size` requests in flight, of who answers in the same process by a connection of its own. */
const requests: GrowthCase = async (url, name, size, count) => {
  await using answering = connect(url);
  await using asking = connect(url);
  await using service = serve(name, { echo: async ({ id }: Job) => id }, { connection: answering, concurrency: 256 });
  await service.ready;
  const client = new Client(name, { connection: asking });
  // Where few are in flight all of them would take minutes.
  const total = Math.max(4 * size, Math.min(count, 2000 + 200 * size));
  let next = 0;
  let live = 0;
  const lane = async (): Promise<void> => {
    while (next < total) {
      const id = next++;
      const reply = client.request('echo', job(id));
      // All lanes but those that have just been answered wait.
      if (id === Math.floor(total / 2)) live = liveMegabytes();
      if ((await reply) !== id) throw new Error(`another reply than that to ${id} has come`);
    }
  };
  const seconds = await secondsOf(() => Promise.all(Array.from({ length: size }, lane)));
  return {
    figures: [total / seconds / 1000, (size / (total / seconds)) * 1000],
    clients: await openClients(url),
    live,
  };
};

export const growthCases: Record<string, GrowthCase> = {
  queues: queues(pulling),
  'queues of deliveries': queues(delivering),
  pullers,
  length,
  requests,
};
