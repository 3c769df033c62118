import assert from 'node:assert/strict';
import type { Redis } from 'ioredis';
import type { Consumer, ConsumerOptions, DriverConnection, Held } from '../../../lib/driver.ts';
import { connectRedis } from '../../../lib/drivers/redis/connection.ts';
import { QueueKeys } from '../../../lib/drivers/redis/keys.ts';
import { uniqueQueue } from '../../support/brokers.ts';
import { TcpProxy } from '../../support/proxy.ts';
import { RedisServer } from '../../support/redis.ts';
import { numbers, until } from '../../support/streams.ts';
import { ACK, attemptsOf, hold, settle, textsOf } from '../contract/stage.ts';

describe('what a consumer holds in redis', () => {
  let server: RedisServer;
  let redis: Redis;
  let connection: DriverConnection;
  let keys: QueueKeys;

  before(async () => {
    server = await RedisServer.start();
    redis = server.client();
  });
  after(() => server[Symbol.asyncDispose]());

  beforeEach(async () => {
    connection = await connected();
    keys = new QueueKeys(uniqueQueue());
  });
  afterEach(() => connection.close());

  async function connected(): Promise<DriverConnection> {
    const opened = connectRedis(server.url, { prefix: '', maxClients: 9 });
    await opened.ready();
    return opened;
  }

  function consumerOf(name: string, from = connection, onLost: ConsumerOptions['onLost'] = neverLost): Consumer {
    return from.consumer(keys.queue, { name, leaseTimeout: 30_000, maxAttempts: 5, onLost });
  }

  /** Holds two items, of which the first is handed over. */
  async function holdTwo(consumer: Consumer): Promise<Held[]> {
    await redis.lpush(keys.queue, 'seen', 'unseen');
    const held = await hold(consumer, 2);
    consumer.handOver(held[0] as Held);
    await connection.inspect(keys.queue);
    return held;
  }

  function left(kind: string): Promise<string[]> {
    return redis.keys(`${keys.base}${kind}*`);
  }

  it('is not forgotten, however long nobody comes, when the last who lives leaves', async () => {
    const dying = await connected();
    const crashed = consumerOf('crashed', dying);
    await redis.lpush(keys.queue, 'held');
    await hold(crashed, 1);
    await dying.close();
    const last = consumerOf('last');
    await connection.inspect(keys.queue);
    await last.close();
    assert.equal(await redis.ttl(keys.consumers), -1);
    await crashed.close(AbortSignal.abort());
  });

  it('is had once though the connection breaks between the word of it and the items', async () => {
    await using proxy = await TcpProxy.start(server.port);
    const through = connectRedis(proxy.url, { prefix: '', maxClients: 9 });
    const consumer = consumerOf('cut', through);
    const items = numbers(20).map((n) => String(n).repeat(100));
    for (const part of [0.05, 0.5, 0.99]) {
      // Who has joined, and has taken once, hears nothing else but the answer.
      await redis.lpush(keys.queue, 'before');
      await settle(consumer, await hold(consumer, 1), ACK);
      await redis.lpush(keys.queue, ...items);
      const cut = proxy.cut('server', part);
      const held = await hold(consumer, items.length);
      await cut;
      assert.deepEqual(textsOf(held), items);
      await settle(consumer, held, ACK);
    }
    await consumer.close();
    await through.close();
    assert.deepEqual(await redis.keys(`*${keys.queue}*`), [keys.marks]);
  });

  describe('when redis has forgotten who it is', () => {
    const forget = (): Promise<number> => redis.del(keys.consumers);

    it('is had again when it begins anew', async () => {
      let lost: readonly Held[] = [];
      const consumer = consumerOf('forgotten', connection, (items) => (lost = items));
      const [, unseen] = await holdTwo(consumer);
      await forget();
      assert.equal(await consumer.settle(unseen as Held, ACK), false);
      assert.deepEqual(attemptsOf(lost), ['seen#1']);
      const again = await hold(consumer, 2);
      assert.deepEqual(attemptsOf(again), ['seen#2', 'unseen#1']);
      await settle(consumer, again, ACK);
      assert.deepEqual(await left('parcel'), []);
      await consumer.close();
    });

    it('is had as if nothing had been, where it has come while it waited', async () => {
      const consumer = consumerOf('forgotten');
      const receiving = consumer.receive(10);
      await until(async () => (await redis.info('clients')).includes('blocked_clients:1\r'));
      await redis.flushall();
      await redis.lpush(keys.queue, 'a', 'b');
      const held = [...(await receiving)];
      held.push(...(await hold(consumer, 2 - held.length)));
      assert.deepEqual(attemptsOf(held), ['a#1', 'b#1']);
      await settle(consumer, held, ACK);
      await consumer.close();
      assert.deepEqual(await redis.keys('*'), [keys.marks]);
    });

    it('goes back when it leaves without knowing', async () => {
      const consumer = consumerOf('forgotten');
      await holdTwo(consumer);
      await forget();
      await consumer.close();
      assert.deepEqual(await redis.lrange(keys.again, 0, -1), ['0 0 unseen', '0 0 seen']);
      assert.deepEqual([...(await left('parcel')), ...(await left('in-process'))], []);
    });

    it('goes back when it leaves and does know', async () => {
      const consumer = consumerOf('forgotten', connection, () => {});
      const [seen] = await holdTwo(consumer);
      await forget();
      assert.equal(await consumer.settle(seen as Held, ACK), false);
      await consumer.close();
      assert.deepEqual(await redis.lrange(keys.again, 0, -1), ['0 0 unseen', '0 0 seen']);
      assert.deepEqual([...(await left('parcel')), ...(await left('in-process'))], []);
    });
  });
});

function neverLost(): void {
  assert.fail('items were lost');
}
