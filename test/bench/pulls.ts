import { Writable } from 'node:stream';
import { Redis } from 'ioredis';
import { connect, PullStream, type StreamOptions } from 'millrace';
import { peerPulls } from './all-peers.ts';
import { type Case, check, together } from './case.ts';

const RAW_POP = 256;

export async function popRaw(url: string, queue: string, count: number): Promise<void> {
  const redis = new Redis(url);
  let sum = 0;
  for (let taken = 0; taken < count; ) {
    const [, items] = (await redis.blmpop(0, 1, queue, 'RIGHT', 'COUNT', together(RAW_POP))) as [string, string[]];
    for (const item of items) sum += JSON.parse(item).id;
    taken += items.length;
  }
  check(sum, count);
  redis.disconnect();
}

function pullingByData(options: StreamOptions): Case {
  return async (url, queue, count) => {
    await using connection = connect(url);
    const stream = new PullStream(queue, { ...options, connection });
    let sum = 0;
    let taken = 0;
    await new Promise<void>((resolve) => {
      stream.on('data', (value) => {
        sum += value.id;
        taken += 1;
        if (taken === count) resolve();
      });
    });
    check(sum, count);
  };
}

export const pullByData = pullingByData({});

/** For who is alone at a queue, and need not leave anything to others: so many items are held. */
const TUNED = { highWaterMark: 4096 };
const pullTuned = pullingByData(TUNED);

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

export const BY_DATA = "on('data')";
export const RAW = 'raw BLMPOP 256';

export const pulls: Record<string, Case> = {
  [RAW]: popRaw,
  [BY_DATA]: pullByData,
  [`on('data'), tuned: highWaterMark ${TUNED.highWaterMark}`]: pullTuned,
  'pipe()': pullByPipe,
  'for await': pullByForAwait,
  ...peerPulls,
};
