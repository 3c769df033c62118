import assert from 'node:assert/strict';
import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import type { Redis } from 'ioredis';
import { type Connection, connect, type Delivery, DeliveryStream, PushStream, WorkTransform } from '../../lib/index.ts';
import { TcpProxy } from '../support/proxy.ts';
import { random, seed } from '../support/random.ts';
import { RedisServer } from '../support/redis.ts';
import { numbers, push, until } from '../support/streams.ts';
import { eachOnce, eachOnceInOrder } from './each-once.ts';
import { leftovers } from './leftovers.ts';
import { scale } from './scale.ts';

const { pushes, carried } = scale;

/** Each delivery as two, of which the second is negative. */
async function* twoOfEach(source: AsyncIterable<Delivery<number>>): AsyncIterable<Delivery<number>> {
  for await (const delivery of source) yield* delivery.withMany([delivery.value, -delivery.value]);
}

describe(`a connection that is reset again and again (redis, seed ${seed})`, function () {
  this.timeout(0);
  let server: RedisServer;
  let client: Redis;
  let proxy: TcpProxy;
  let connections: Connection[];
  /** What the broker is known to have stored in the last queue. */
  let stored: number;

  beforeEach(async () => {
    server = await RedisServer.start();
    client = server.client();
    proxy = await TcpProxy.start(server.port);
    connections = [];
    stored = 0;
  });
  afterEach(async () => {
    for (const connection of connections) await connection.close();
    await proxy[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  /** A connection of its own, by the proxy. */
  function open(): Connection {
    const connection = connect(proxy.url);
    connections.push(connection);
    return connection;
  }

  /** Resolves when so many are stored. */
  function reaches(count: number): Promise<void> {
    return until(() => stored >= count).catch(() => assert.fail(`only ${stored} are stored, and it stands still`));
  }

  /** Resets it while `total` items are on their way: before the server has heard a command, in the middle of it, or behind it. */
  async function disturb(total: number, resets: number): Promise<void> {
    const dice = random();
    for (let n = 0; n < resets; n += 1) {
      // Behind the last reset something has gone well, so that each meets what is on its way, and not the knocking.
      await reaches(Math.max(stored + 1, ((n + dice()) / resets) * 0.9 * total));
      await proxy.cut(dice() < 0.5 ? 'client' : 'server', dice() < 0.5 ? 0 : dice());
    }
  }

  /** What is in a queue, the first item first. */
  async function itemsOf(queue: string): Promise<number[]> {
    return (await client.lrange(queue, 0, -1)).reverse().map((item) => Number(JSON.parse(item)));
  }

  // Small ones are pushed by a script, sixteen at a time; as many large ones in a transaction.
  const writes: [what: string, itemOf: (n: number) => unknown][] = [
    ['writes', (n) => n],
    ['large writes', (n) => String(n).padEnd(600)],
  ];
  for (const [what, itemOf] of writes) {
    it(`stores each of ${pushes.items} ${what} once, in order, over ${pushes.resets} resets`, async () => {
      const stream = new PushStream('last', { connection: open(), highWaterMark: 64 });
      const write = async (): Promise<void> => {
        for (const n of numbers(pushes.items)) {
          const more = stream.write(itemOf(n), (error) => {
            assert.ifError(error);
            stored += 1;
          });
          if (!more) await once(stream, 'drain');
        }
        await stream.close();
      };
      await Promise.all([write(), disturb(pushes.items, pushes.resets)]);
      assert.equal(stored, pushes.items);
      eachOnceInOrder(await itemsOf('last'), numbers(pushes.items));
      assert.deepEqual(await leftovers(client), ['last']);
    });
  }

  it(`stores each of ${pushes.items} items once, in order, that are sent ten at a time, over ${pushes.resets} resets`, async () => {
    const stream = new PushStream('last', { connection: open() });
    let next = 0;
    const send = async (): Promise<void> => {
      while (next < pushes.items) {
        await stream.send(next++);
        stored += 1;
      }
    };
    await Promise.all([...numbers(10).map(send), disturb(pushes.items, pushes.resets)]);
    await stream.close();
    eachOnceInOrder(await itemsOf('last'), numbers(pushes.items));
    assert.deepEqual(await leftovers(client), ['last']);
  });

  /** Carries numbers from queue to queue, each pair of them by a connection of its own; gives what the last one has then. */
  async function carry(queues: string[], expected: number, divide?: typeof twoOfEach): Promise<number[]> {
    const sources: DeliveryStream<number>[] = [];
    const hops = queues.slice(1).map(async (to, index) => {
      const connection = open();
      const source = new DeliveryStream<number>(queues[index] as string, { connection, backoff: 10 });
      sources.push(source);
      source.on('lost', ({ value }) => assert.fail(`lost ${value}`));
      const work = new WorkTransform<number, number>(
        (n, { attempt }) => {
          if (n % 50 === 0 && attempt === 1) throw new Error('as planned');
          return n + 1;
        },
        { concurrency: 4 },
      );
      // Few at a time, so that there are as many as there are resets.
      const sink = new PushStream(to, { connection, highWaterMark: 256 });
      if (to === 'last') sink.on('pushed', () => (stored += 1));
      if (divide) await pipeline(source, work, divide, sink);
      else await pipeline(source, work, sink);
    });
    const own = connect(server.url);
    connections.push(own);
    await push(own, queues[0] as string, numbers(carried.items));
    await disturb(expected, carried.resets);
    await reaches(expected);
    for (const source of sources) await source.close();
    await Promise.all(hops);
    assert.deepEqual(await leftovers(client), ['last']);
    return itemsOf('last');
  }

  const each = `each of ${carried.items} items`;
  const over = `over ${carried.resets} resets`;

  it(`carries ${each} over a hop once, ${over}`, async () => {
    eachOnce(await carry(['first', 'last'], carried.items), numbers(carried.items, 1));
  });

  it(`carries ${each} over two hops once, ${over}`, async () => {
    eachOnce(await carry(['first', 'middle', 'last'], carried.items), numbers(carried.items, 2));
  });

  it(`makes two of ${each} on a hop, once, ${over}`, async () => {
    const expected = [...numbers(carried.items, -carried.items), ...numbers(carried.items, 1)];
    eachOnce(await carry(['first', 'last'], carried.items * 2, twoOfEach), expected);
  });
});
