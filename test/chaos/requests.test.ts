import assert from 'node:assert/strict';
import type { Redis } from 'ioredis';
import { Client, type Connection, connect, RequestDuplex, serve } from '../../lib/index.ts';
import { pipeline } from '../../lib/streams.ts';
import { random, seed } from '../support/random.ts';
import { RedisServer } from '../support/redis.ts';
import { numbers, until } from '../support/streams.ts';
import { Child } from './child.ts';
import { leftovers } from './leftovers.ts';
import { scale } from './scale.ts';

const queue = 'math';

describe(`requests in trouble (redis, seed ${seed})`, () => {
  let server: RedisServer;
  let redis: Redis;
  let connection: Connection;
  const children: Child[] = [];

  before(async () => {
    server = await RedisServer.start();
    redis = server.client();
  });
  after(() => server[Symbol.asyncDispose]());
  beforeEach(() => {
    connection = connect(server.url);
  });
  afterEach(async () => {
    for (const child of children.splice(0)) await child[Symbol.asyncDispose]();
    await connection.close();
    // No mailbox either: they go with who asked, or by themselves.
    assert.deepEqual(await leftovers(redis), []);
    assert.deepEqual(await redis.keys('*:replies:*'), []);
    await redis.flushall();
  });

  async function start(options: object): Promise<Child> {
    const child = new Child('replies-worker.ts', server.url, { queue, ...options });
    children.push(child);
    await child.hear('ready');
    return child;
  }

  /** Breaks the connections of who asks and who answers, every one at once, whenever so many more requests are answered. */
  async function killing(kills: number, every: number, answered: () => number): Promise<void> {
    const dice = random();
    for (let killed = 0; killed < kills; killed += 1) {
      const next = answered() + Math.floor(dice() * every * 2);
      await until(() => answered() >= next);
      // Whoever is subscribed to anything: the clients for commands.
      await redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    }
  }

  it('each get one reply, through many broken connections', async () => {
    const { count, kills } = scale.requests;
    await using service = serve(queue, { double: (value: number) => value * 2 }, { connection, concurrency: 64 });
    await service.ready;
    const asking = connect(server.url);
    const client = new Client(queue, { connection: asking });
    let asked = 0;
    let answered = 0;
    const lane = async (): Promise<void> => {
      while (asked < count) {
        const value = asked++;
        assert.equal(await client.request('double', value), value * 2);
        answered += 1;
      }
    };
    const trouble = killing(kills, count / kills / 3, () => answered);
    await Promise.all([trouble, ...numbers(200).map(lane)]);
    assert.equal(answered, count);
    assert.equal(asking.stats().strayReplies, 0, 'replies came twice');
    await asking.close();
  });

  it('keep their order in a duplex, through many broken connections', async () => {
    const { count, kills } = scale.requests;
    await using service = serve(queue, { double: (value: number) => value * 2 }, { connection, concurrency: 64 });
    await service.ready;
    const asking = connect(server.url);
    const replies: number[] = [];
    const duplex = new RequestDuplex(queue, { connection: asking, method: 'double', concurrency: 200 });
    const collect = async (source: AsyncIterable<number>): Promise<void> => {
      for await (const reply of source) replies.push(reply);
    };
    const piping = new Promise<void>((resolve, reject) => {
      pipeline(numbers(count) as never, duplex, collect as never, (error) => (error ? reject(error) : resolve()));
    });
    await Promise.all([piping, killing(kills, count / kills / 3, () => replies.length)]);
    assert.deepEqual(
      replies,
      numbers(count).map((value) => value * 2),
    );
    assert.equal(asking.stats().strayReplies, 0, 'replies came twice');
    await asking.close();
  });

  it('are done by another when a worker dies of kill -9, and answered once', async () => {
    const dying = await start({ leaseTimeout: 1000 });
    const client = new Client(queue, { connection });
    const held = numbers(20).map((value) => client.request('hold', value));
    for (const _ of held) await dying.hear('held');
    await dying.kill();
    await using _service = serve(queue, { hold: (value: number) => value + 1 }, { connection, leaseTimeout: 1000 });
    assert.deepEqual(await Promise.all(held), numbers(20, 1));
    assert.equal(connection.stats().strayReplies, 0);
  });

  it('are begun anew before the first part of their reply, and fail after it, when a worker dies of kill -9', async () => {
    const dying = await start({ leaseTimeout: 1000 });
    const client = new Client(queue, { connection });
    const early = client.requestStream('stall', 0);
    const late = client.requestStream('stall', 3);
    const reader = late[Symbol.asyncIterator]();
    for (const part of numbers(3)) assert.equal((await reader.next()).value, part);
    for (let held = 0; held < 2; held += 1) await dying.hear('held');
    await dying.kill();
    const stall = async function* (value: number): AsyncGenerator<string> {
      yield `after ${value}`;
    };
    await using _service = serve(queue, { stall }, { connection, leaseTimeout: 1000 });
    assert.equal((await early[Symbol.asyncIterator]().next()).value, 'after 0');
    const failure = { code: 'ERR_MILLRACE_INTERRUPTED', retryable: true };
    await assert.rejects(reader.next(), failure);
  });

  it('are cancelled in another process within a moment', async () => {
    const worker = await start({ leaseTimeout: 30_000 });
    const client = new Client(queue, { connection });
    const controller = new AbortController();
    const request = client.request('hold', 1, { signal: controller.signal });
    await worker.hear('held');
    controller.abort(new Error('not wanted'));
    await assert.rejects(request, /not wanted/);
    assert.equal(await worker.hear('aborted'), 1);
    await worker.stop();
  });
});
