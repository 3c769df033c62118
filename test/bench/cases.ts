import { once } from 'node:events';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Redis } from 'ioredis';
// The built package, as its users run it.
import { connect, PullStream, PushStream } from 'millrace';

/** One way to do a piece of work: moves `count` jobs through `queue` and resolves when all are through. */
export type Case = (url: string, queue: string, count: number) => Promise<void>;

/** How many jobs a process moves before it is measured: the compiler is at work for the first half a million. */
export const WARM_UP = 500_000;

/** A job of about 120 bytes of JSON. */
export function job(id: number) {
  return { id, name: 'thumbnail', file: `/var/uploads/2026/11/20/${id}.jpeg`, width: 640, height: 480, quality: 0.82 };
}

const RAW_BATCH = 128;
const RAW_POP = 256;

async function pushRaw(url: string, queue: string, count: number): Promise<void> {
  const redis = new Redis(url);
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) {
      const batch: string[] = [];
      for (let i = 0; i < RAW_BATCH && next < count; i += 1) batch.push(JSON.stringify(job(next++)));
      await redis.lpush(queue, ...batch);
    }
  };
  await Promise.all([lane(), lane()]);
  redis.disconnect();
}

async function pushByWrite(url: string, queue: string, count: number): Promise<void> {
  await using connection = connect(url);
  const stream = new PushStream(queue, { connection });
  for (let i = 0; i < count; i += 1) if (!stream.write(job(i))) await once(stream, 'drain');
  stream.end();
  await once(stream, 'finish');
}

async function pushByPipeline(url: string, queue: string, count: number): Promise<void> {
  await using connection = connect(url);
  const jobs = function* () {
    for (let i = 0; i < count; i += 1) yield job(i);
  };
  await pipeline(jobs, new PushStream(queue, { connection }));
}

async function popRaw(url: string, queue: string, count: number): Promise<void> {
  const redis = new Redis(url);
  let sum = 0;
  for (let taken = 0; taken < count; ) {
    const [, items] = (await redis.blmpop(0, 1, queue, 'RIGHT', 'COUNT', RAW_POP)) as [string, string[]];
    for (const item of items) sum += JSON.parse(item).id;
    taken += items.length;
  }
  check(sum, count);
  redis.disconnect();
}

async function pullByData(url: string, queue: string, count: number): Promise<void> {
  await using connection = connect(url);
  const stream = new PullStream(queue, { connection });
  let sum = 0;
  let taken = 0;
  const all = new Promise<void>((resolve) => {
    stream.on('data', (value) => {
      sum += value.id;
      taken += 1;
      if (taken === count) resolve();
    });
  });
  await all;
  check(sum, count);
}

async function pullByPipe(url: string, queue: string, count: number): Promise<void> {
  await using connection = connect(url);
  const stream = new PullStream(queue, { connection });
  let sum = 0;
  let taken = 0;
  await new Promise<void>((resolve) => {
    stream.pipe(
      new Writable({
        objectMode: true,
        write(value, _encoding, callback) {
          sum += value.id;
          taken += 1;
          if (taken === count) resolve();
          callback();
        },
      }),
    );
  });
  check(sum, count);
}

async function pullByForAwait(url: string, queue: string, count: number): Promise<void> {
  await using connection = connect(url);
  let sum = 0;
  let taken = 0;
  for await (const value of new PullStream(queue, { connection })) {
    sum += value.id;
    taken += 1;
    if (taken === count) break;
  }
  check(sum, count);
}

/** Whether the jobs were those that had been pushed. */
function check(sum: number, count: number): void {
  if (sum !== (count * (count - 1)) / 2) throw new Error(`other jobs came out than went in: ${sum}`);
}

export const pushes = { 'raw LPUSH 128, two in flight': pushRaw, 'write()': pushByWrite, 'pipeline()': pushByPipeline };

export const pulls = {
  'raw BLMPOP 256': popRaw,
  "on('data')": pullByData,
  'pipe()': pullByPipe,
  'for await': pullByForAwait,
};

export const cases: Record<string, Case> = { ...pushes, ...pulls };
