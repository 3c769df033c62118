/** Sends jobs, each when the one before has come, and prints how long they took: `latency-worker.ts <case> <url> <count>`. */
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { connect, PullStream, PushStream } from 'millrace';
import { job } from './cases.ts';
import type { Latency } from './latency.ts';
import { percentile } from './table.ts';

const QUEUE = 'latency';

/** How many are sent before those that count: the compiler needs them. */
const WARM_UP = 10_000;

/** A producer, and a consumer that calls back for each job that comes. */
interface Line extends AsyncDisposable {
  send(value: unknown): Promise<unknown>;
}
type Arrived = (id: number) => void;

function rawLine(url: string, arrived: Arrived): Line {
  const producer = new Redis(url);
  const consumer = new Redis(url);
  const consume = async (): Promise<void> => {
    for (;;) {
      const [, items] = (await consumer.blmpop(0, 1, QUEUE, 'RIGHT', 'COUNT', 1)) as [string, string[]];
      for (const item of items) arrived(JSON.parse(item).id);
    }
  };
  const consuming = consume().catch(() => {});
  return {
    send: (value) => producer.lpush(QUEUE, JSON.stringify(value)),
    async [Symbol.asyncDispose]() {
      producer.disconnect();
      consumer.disconnect();
      await consuming;
    },
  };
}

function streamLine(url: string, arrived: Arrived): Line {
  const connection = connect(url);
  const producer = new PushStream(QUEUE, { connection });
  new PullStream(QUEUE, { connection }).on('data', ({ id }) => arrived(id));
  return {
    send: (value) => producer.send(value),
    [Symbol.asyncDispose]: () => connection.close(),
  };
}

const lines: Record<string, (url: string, arrived: Arrived) => Line> = { raw: rawLine, streams: streamLine };

const [name = '', url = '', count = ''] = process.argv.slice(2);
const open = lines[name];
if (!open) throw new Error(`no such case: ${name}`);
let arrived: Arrived = () => {};
await using line = open(url, (id) => arrived(id));

/** Sends one job, and gives how many microseconds later it came. */
async function send(id: number): Promise<number> {
  const start = performance.now();
  const coming = new Promise<number>((resolve, reject) => {
    arrived = (come) => {
      if (come === id) resolve((performance.now() - start) * 1000);
      else reject(new Error(`job ${come} came instead of ${id}`));
    };
  });
  const [time] = await Promise.all([coming, line.send(job(id))]);
  return time;
}

for (let id = 0; id < WARM_UP; id += 1) await send(id);
const times: number[] = [];
for (let id = 0; id < Number(count); id += 1) {
  // The consumer shall wait again before the next one comes.
  await delay(1);
  times.push(await send(id));
}
const latency: Latency = { p50: percentile(times, 50), p99: percentile(times, 99) };
process.stdout.write(JSON.stringify(latency));
