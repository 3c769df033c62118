/** Sends jobs, each when the one before is settled, as often as it is told to, and tells how long they took: `latency-worker.ts <case> <url>`. */
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { connect, DeliveryStream, PullStream, PushStream } from 'millrace';
import { peerOf } from './all-peers.ts';
import { type Job, job } from './case.ts';
import { type Latency, type LatencyTask, QUEUE } from './latency.ts';
import { Meter } from './meter.ts';
import type { Peer } from './peer.ts';
import { RawConsumer } from './raw-consumer.ts';
import { RawProducer } from './raw-producer.ts';
import { percentile } from './table.ts';
import { doTasks } from './tasks.ts';

/** A producer, and a consumer that calls back for each job that comes. */
interface Line extends AsyncDisposable {
  send(value: unknown): Promise<unknown>;
}
/** Told of a job as its handler sees it, and how to settle it: what that gives resolves when the broker has answered. */
type Arrived = (id: number, settle: () => unknown) => void;

const nothing = (): void => {};

/** A value that has been popped is settled. */
function rawLine(url: string, arrived: Arrived, send?: Line['send']): Line {
  const consumer = new Redis(url);
  const producer = new Redis(url);
  return rawLineOf(send ?? listPusher(producer), [producer, consumer], async () => {
    const [, items] = (await consumer.blmpop(0, 1, QUEUE, 'RIGHT', 'COUNT', 1)) as [string, string[]];
    for (const item of items) arrived(JSON.parse(item).id, nothing);
  });
}

async function rawNumberedLine(url: string, arrived: Arrived): Promise<Line> {
  const holder = await RawConsumer.join(url, QUEUE);
  const line = rawLine(url, arrived, numberedPusher(holder));
  return {
    send: line.send,
    async [Symbol.asyncDispose]() {
      await line[Symbol.asyncDispose]();
      await holder.close();
    },
  };
}

/** The plainest loop that loses nothing. */
function rawLremLine(url: string, arrived: Arrived): Line {
  const consumer = new Redis(url);
  const producer = new Redis(url);
  const held = `${QUEUE}:held`;
  return rawLineOf(listPusher(producer), [producer, consumer], async () => {
    const item = (await consumer.blmove(QUEUE, held, 'RIGHT', 'LEFT', 0)) as string;
    await new Promise<void>((resolve) => {
      arrived(JSON.parse(item).id, () => consumer.lrem(held, 1, item).finally(resolve));
    });
  });
}

/** What a delivery takes, by hand. */
async function rawScriptsLine(url: string, arrived: Arrived): Promise<Line> {
  const holder = await RawConsumer.join(url, QUEUE);
  return rawLineOf(numberedPusher(holder), holder.clients, async () => {
    const { parcel } = await holder.land();
    const job = parcel.jobs[0] as Job;
    await new Promise<void>((resolve) => {
      arrived(job.id, () => {
        holder.done({ job, parcel, index: 0 });
        resolve();
        return holder.acknowledged;
      });
    });
  });
}

function listPusher(producer: Redis): Line['send'] {
  return (value) => producer.lpush(QUEUE, JSON.stringify(value));
}

/** Each item has a number, by which it is stored once. */
function numberedPusher({ redis, keys }: RawConsumer): Line['send'] {
  const producer = new RawProducer(redis, keys);
  return (value) => producer.push([JSON.stringify(value)]);
}

function rawLineOf(send: Line['send'], clients: readonly Redis[], consumeOne: () => Promise<void>): Line {
  const consume = async (): Promise<void> => {
    for (;;) await consumeOne();
  };
  const consuming = consume().catch(() => {});
  return {
    send,
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.disconnect();
      await consuming;
    },
  };
}

function streamLine(url: string, arrived: Arrived): Line {
  const connection = connect(url);
  new PullStream(QUEUE, { connection }).on('data', ({ id }) => arrived(id, nothing));
  return streamLineOf(connection);
}

function deliveryLine(url: string, arrived: Arrived): Line {
  const connection = connect(url);
  new DeliveryStream<{ id: number }>(QUEUE, { connection }).on('data', (delivery) => {
    arrived(delivery.value.id, () => delivery.ack());
  });
  return streamLineOf(connection);
}

function streamLineOf(connection: ReturnType<typeof connect>): Line {
  const producer = new PushStream(QUEUE, { connection });
  return {
    send: (value) => producer.send(value),
    [Symbol.asyncDispose]: () => connection.close(),
  };
}

async function peerLine({ line }: Peer, url: string, arrived: Arrived): Promise<Line> {
  const { send, close } = await line.open(url, QUEUE, (id) => arrived(id, nothing));
  return {
    send: (value) => send(value as Job),
    async [Symbol.asyncDispose]() {
      await close();
    },
  };
}

const lines: Record<string, (url: string, arrived: Arrived) => Line | Promise<Line>> = {
  raw: rawLine,
  'raw-numbered': rawNumberedLine,
  'raw-lrem': rawLremLine,
  'raw-scripts': rawScriptsLine,
  streams: streamLine,
  deliveries: deliveryLine,
};

const [name = '', url = ''] = process.argv.slice(2);
const peer = peerOf(name);
const open = peer ? (...to: [string, Arrived]) => peerLine(peer, ...to) : lines[name];
if (!open) throw new Error(`no such case: ${name}`);
let arrived: Arrived = nothing;

/** Sends one job, and gives how many microseconds later it came, and was settled. */
async function send(line: Line, id: number): Promise<{ came: number; settled: number }> {
  const start = performance.now();
  const since = (): number => (performance.now() - start) * 1000;
  const coming = new Promise<{ came: number; settled: number }>((resolve, reject) => {
    arrived = async (come, settle) => {
      const came = since();
      if (come !== id) reject(new Error(`job ${come} came instead of ${id}`));
      await settle();
      resolve({ came, settled: since() });
    };
  });
  const [times] = await Promise.all([coming, line.send(job(id))]);
  return times;
}

async function measure(line: Line, count: number): Promise<Latency> {
  const meter = new Meter();
  const came: number[] = [];
  const settled: number[] = [];
  for (let id = 0; id < count; id += 1) {
    // The consumer shall wait again before the next one comes.
    await delay(1);
    const times = await send(line, id);
    came.push(times.came);
    settled.push(times.settled);
  }
  const { cpu, rss } = meter.read();
  return {
    p50: percentile(came, 50),
    p99: percentile(came, 99),
    settled: percentile(settled, 50),
    cpu: (cpu * 1e6) / count,
    rss,
  };
}

doTasks(async ({ milliseconds, count }: LatencyTask) => {
  await using line = await open(url, (id, settle) => arrived(id, settle));
  const end = performance.now() + milliseconds;
  for (let id = 0; performance.now() < end; id += 1) await send(line, id);
  // It is closed when this is left.
  return await measure(line, count);
});
