import assert from 'node:assert/strict';
import type { Redis } from 'ioredis';
import type { Consumer, DriverConnection, Held } from '../../../lib/driver.ts';
import { connectRedis } from '../../../lib/drivers/redis/connection.ts';
import { QueueKeys } from '../../../lib/drivers/redis/keys.ts';
import { scripts } from '../../../lib/drivers/redis/scripts/index.ts';
import { uniqueQueue } from '../../support/brokers.ts';
import { TcpProxy } from '../../support/proxy.ts';
import { RedisServer } from '../../support/redis.ts';
import { numbers, until } from '../../support/streams.ts';

const NAME = 'worker';

/** A server carries out what a broken connection has brought it when it comes to that: here that is said by hand. */
describe('what redis carries out late of a wait whose connection broke', () => {
  let server: RedisServer;
  let redis: Redis;
  let connection: DriverConnection;
  let keys: QueueKeys;

  before(async () => {
    server = await RedisServer.start();
    redis = server.client({ scripts });
  });
  after(() => server[Symbol.asyncDispose]());

  beforeEach(async () => {
    connection = connectRedis(server.url, { prefix: '', maxClients: 9 });
    await connection.ready();
    keys = new QueueKeys(uniqueQueue());
  });
  afterEach(() => connection.close());

  function consumerOf(other = connection, leaseTimeout = 30_000, name = NAME): Consumer {
    return other.consumer(keys.queue, { name, leaseTimeout, maxAttempts: 5, onLost: neverLost });
  }

  /** The incarnation of the consumer, once it has begun. */
  async function incarnation(): Promise<string> {
    for (;;) {
      const record = await redis.hget(keys.consumers, NAME);
      if (record) return record.split(' ')[0] as string;
    }
  }

  /** Keys and arguments of the take that a consumer says behind a pop. */
  async function takeOf(number: number): Promise<[keys: string[], args: (string | number)[]]> {
    const who = await incarnation();
    const { queue, again, consumers } = keys;
    return [
      [queue, again, consumers, keys.inProcess(NAME), keys.landing(who), keys.parcels(who) + number],
      [0, NAME, who, number, 10, 0],
    ];
  }

  it('has what a take brings of which nobody hears', async () => {
    const consumer = consumerOf();
    const receiving = consumer.receive(10);
    const [where, args] = await takeOf(1);
    while (!(await redis.info('clients')).includes('blocked_clients:1\r')) {}
    await redis
      .multi()
      .lpush(keys.queue, 'item')
      .millraceTake(...where, ...args)
      .exec();
    const items = await receiving;
    assert.deepEqual(textsOf(items), ['item']);
    assert.ok(await consumer.settle(items[0] as Held, { verb: 'ack' }));
    await consumer.close();
  });

  it('takes nothing by what has been answered already', async () => {
    const consumer = consumerOf();
    await redis.lpush(keys.queue, 'first');
    const [first] = await consumer.receive(10);
    assert.ok(await consumer.settle(first as Held, { verb: 'ack' }));
    await redis.lpush(keys.queue, 'second');
    const [where, args] = await takeOf(1);
    assert.equal(await redis.millraceTake(...where, ...args), null);
    assert.deepEqual(textsOf(await consumer.receive(10)), ['second']);
    await consumer.close();
  });

  it('has what has landed and was not taken any more', async () => {
    const consumer = consumerOf();
    await redis.lpush(keys.landing(await incarnation()), 'item');
    const items = await consumer.receive(10);
    assert.deepEqual(textsOf(items), ['item']);
    await consumer.close();
  });

  it('has what has landed long since its connection broke, beside what it hears of', async () => {
    const consumer = consumerOf();
    const landing = keys.landing(await incarnation());
    const waits = () => until(async () => (await redis.info('clients')).includes('blocked_clients:1\r'));
    let receiving = consumer.receive(10, true);
    await waits();
    await redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    for (const n of numbers(6)) {
      await redis.lpush(keys.queue, n);
      assert.ok(await consumer.settle((await receiving)[0] as Held, { verb: 'ack' }));
      receiving = consumer.receive(10, true);
      await waits();
    }
    await redis.multi().lpush(landing, 'late').lpush(keys.queue, 'next').exec();
    const items = await receiving;
    assert.deepEqual(textsOf(items), ['late', 'next']);
    for (const item of items) assert.ok(await consumer.settle(item, { verb: 'ack' }));
    await consumer.close();
  });

  it('has it again elsewhere when its consumer has died, and as if it had never been taken', async () => {
    const dying = connectRedis(server.url, { prefix: '', maxClients: 9 });
    await dying.ready();
    const former = consumerOf(dying);
    await redis.lpush(keys.landing(await incarnation()), 'item');
    await dying.close();
    await former.close(AbortSignal.abort());
    const other = consumerOf();
    const items = await other.receive(10);
    assert.deepEqual([textsOf(items), items[0]?.attempt], [['item'], 1]);
    await other.close();
  });

  it('has it again elsewhere when its consumer asks no more', async () => {
    await using proxy = await TcpProxy.start(server.port);
    const through = connectRedis(proxy.url, { prefix: '', maxClients: 9 });
    const paused = consumerOf(through, 600);
    const waits = proxy.hold('BLMOVE');
    const receiving = paused.receive(10);
    await waits;
    while (!(await redis.info('clients')).includes('blocked_clients:1\r')) {}
    await redis.lpush(keys.queue, 'heard of by nobody');
    paused.cancel();
    proxy.reset();
    assert.deepEqual(await receiving, []);
    const other = consumerOf(connection, 600, 'other');
    const items = await other.receive(10);
    assert.deepEqual([textsOf(items), items[0]?.attempt], [['heard of by nobody'], 1]);
    await redis.lpush(keys.landing(await incarnation()), 'late');
    assert.deepEqual(textsOf(await other.receive(10)), ['late']);
    await other.close();
    await paused.close();
    await through.close();
  });
});

function textsOf(items: readonly Held[]): string[] {
  return items.map(({ bytes }) => bytes.toString());
}

function neverLost(): void {
  assert.fail('items are lost');
}
