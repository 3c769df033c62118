import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { AckStream, type Connection, connect, type Delivery, DeliveryStream, PullStream, work } from '../lib/index.ts';
import { describeEach, uniqueQueue } from './support/brokers.ts';
import { busy, nextTurn, numbers, push, until } from './support/streams.ts';

type Handler = (value: number) => Promise<void>;

/** One who works on the items of a queue, one after the other, and stops when the connection is closed. */
interface Worker {
  start(connection: Connection, queue: string, handler: Handler): void;
  /** How many items it holds ahead of one that takes 50 ms. */
  readonly ahead: number;
}

const workers: Record<string, Worker> = {
  'PullStream, for await': {
    async start(connection, queue, handler) {
      for await (const value of new PullStream(queue, { connection })) await handler(value);
    },
    ahead: 1,
  },
  'PullStream, pipe': {
    start(connection, queue, handler) {
      const write = (value: number, _encoding: unknown, callback: () => void) => void handler(value).then(callback);
      new PullStream(queue, { connection }).pipe(new Writable({ objectMode: true, highWaterMark: 1, write }));
    },
    ahead: 0,
  },
  'DeliveryStream → AckStream': {
    start(connection, queue, handler) {
      new DeliveryStream<number>(queue, { connection }).pipe(new AckStream(handler));
    },
    ahead: 0,
  },
  'work()': {
    start: (connection, queue, handler) => void work(queue, handler, { connection }),
    ahead: 0,
  },
};

describeEach('what is taken ahead', (broker) => {
  let connection: Connection;
  let queue: string;
  beforeEach(() => {
    connection = connect(broker().url);
    queue = uniqueQueue();
  });
  afterEach(() => connection.close({ timeout: 2000 }));

  const waiting = async (): Promise<number> => (await connection.inspect(queue)).waiting;

  for (const [name, { start, ahead }] of Object.entries(workers)) {
    it(`leaves half of 20 jobs of 50 ms to another worker, as ${name}`, async () => {
      await push(connection, queue, numbers(20));
      const done = [0, 0];
      const inHand = new Map<number, () => void>();
      for (const one of [0, 1]) {
        start(connection, queue, async () => {
          await Promise.all([delay(50), new Promise<void>((resolve) => inHand.set(one, resolve))]);
          done[one] = (done[one] ?? 0) + 1;
        });
      }
      for (let round = 1; round <= 10; round += 1) {
        const left = Math.max(0, 20 - 2 * round - 2 * ahead);
        await until(async () => inHand.size === 2 && (await waiting()) === left);
        const finish = [...inHand.values()];
        inHand.clear();
        for (const one of finish) one();
        await until(() => done.every((count) => count === round));
      }
    });

    it(`is what is worked off in about 10 ms where an item takes one, as ${name}`, async () => {
      const count = 5000;
      await push(connection, queue, numbers(count));
      let most = 0;
      start(connection, queue, async (value) => {
        busy(1);
        most = Math.max(most, count - value - 1 - (await waiting()));
        await nextTurn();
      });
      await until(() => most >= 5);
      assert.ok(most <= 12, `${most}`);
    });
  }

  const streams = {
    PullStream: () => new PullStream<number>(queue, { connection, highWaterMark: 32 }),
    DeliveryStream: () => new DeliveryStream<number>(queue, { connection, highWaterMark: 32 }),
  };

  for (const [name, open] of Object.entries(streams)) {
    it(`follows a pace that has become slower within 100 ms, as ${name}`, async () => {
      const count = 1000;
      await push(connection, queue, numbers(count));
      const left: number[] = [];
      let taken = 0;
      for await (const one of open() as AsyncIterable<number | Delivery<number>>) {
        taken += 1;
        const ahead = count - taken - (await waiting());
        if (left.length > 0 || ahead >= 8) {
          // It has been fast until now.
          await delay(left.length < 2 ? 50 : 11);
          left.push(await waiting());
        } else await nextTurn();
        if (typeof one !== 'number') void one.ack();
        if (left.length > 2 && ahead <= 1) break;
      }
      assert.ok(taken < count - 100, 'it was fast to the end');
      const [, , ...followed] = left;
      assert.equal(new Set(followed.slice(0, -1)).size, 1, `${left}`);
    });
  }
});
