import assert from 'node:assert/strict';
import type { Redis } from 'ioredis';
import type { Consumer, ConsumerOptions, DriverConnection, Held } from '../../../lib/driver.ts';
import { connectRedis } from '../../../lib/drivers/redis/connection.ts';
import { QueueKeys } from '../../../lib/drivers/redis/keys.ts';
import { uniqueQueue } from '../../support/brokers.ts';
import { TcpProxy } from '../../support/proxy.ts';
import { RedisServer } from '../../support/redis.ts';
import { numbers, until } from '../../support/streams.ts';
import { ACK, attemptsOf, hold, RELEASE, settle, textsOf } from '../contract/stage.ts';

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

  describe('that came alone, as those before it', () => {
    let own: DriverConnection;
    let consumer: Consumer;

    beforeEach(async () => {
      own = await connected();
      consumer = consumerOf('patient', own);
      for (const n of numbers(6)) {
        const receiving = next((item) => consumer.settle(item, ACK));
        await redis.lpush(keys.queue, n);
        assert.equal(await receiving, true);
      }
    });
    afterEach(async () => {
      await consumer.close(AbortSignal.abort());
      await own.close();
      assert.deepEqual(await redis.keys(`*${keys.queue}*`), [keys.marks]);
    });

    /** Has something done with the next item at the moment in which it comes. */
    async function next<Result>(act: (item: Held) => Result): Promise<Awaited<Result>> {
      const [item] = await consumer.receive(10, true);
      return await act(item as Held);
    }

    /** What lies where a wait has put it. */
    async function landed(): Promise<string[]> {
      const record = await redis.hget(keys.consumers, 'patient');
      return redis.lrange(keys.landing(String(record).split(' ', 1).join()), 0, -1);
    }

    it('is no parcel, and charged to who dies of it at once', async () => {
      const dying = next(() => own.close());
      await redis.lpush(keys.queue, 'deadly');
      await dying;
      assert.deepEqual(await landed(), ['deadly']);
      const reborn = consumerOf('patient');
      const held = await hold(reborn, 1);
      assert.deepEqual(attemptsOf(held), ['deadly#2']);
      await settle(reborn, held, ACK);
      await reborn.close();
    });

    it('becomes a parcel where its handler takes its time', async () => {
      const receiving = next((item) => item);
      await redis.lpush(keys.queue, 'slow');
      const item = await receiving;
      await until(async () => (await landed()).length === 0);
      const [parcel] = await left('parcel');
      assert.deepEqual(await redis.lrange(String(parcel), 0, -1), ['slow']);
      await settle(consumer, [item], ACK);
      await consumer.close();
    });

    it('goes back at once where it is released', async () => {
      const released = next((item) => consumer.settle(item, RELEASE));
      await redis.lpush(keys.queue, 'released');
      assert.equal(await released, true);
      assert.deepEqual(await redis.lrange(keys.again, 0, -1), ['0 0 released']);
      await settle(consumer, await hold(consumer, 1), ACK);
      await consumer.close();
    });

    it('is settled by the hop of what was made of it', async () => {
      const sender = own.sender(keys.queue, { side: 'right' });
      const hopped = next((item) => sender.send(['made'], { settles: { consumer, items: [item] } }));
      await redis.lpush(keys.queue, 'raw');
      assert.equal(await hopped, true);
      const held = await hold(consumer, 1);
      assert.deepEqual(attemptsOf(held), ['made#1']);
      await settle(consumer, held, ACK);
      await sender.close();
      await consumer.close();
    });

    it('is acknowledged, and not the one behind it, where the server has forgotten the script', async () => {
      const goesAlong = next((item) => ({
        settled: consumer.settle(item, ACK),
        receiving: consumer.receive(10, true),
      }));
      await redis.lpush(keys.queue, 'known');
      const { settled, receiving } = await goesAlong;
      assert.equal(await settled, true);
      const acknowledged = receiving.then(([item]): Promise<[boolean, readonly Held[]]> => {
        return Promise.all([consumer.settle(item as Held, ACK), consumer.receive(10, true)]);
      });
      await redis.config('RESETSTAT');
      await redis.multi().script('FLUSH').lpush(keys.queue, 'first').exec();
      await until(async () => (await redis.info('errorstats')).includes('errorstat_NOSCRIPT'));
      await redis.lpush(keys.queue, 'second');
      const [isSettled, held] = await acknowledged;
      assert.equal(isSettled, true);
      assert.deepEqual(attemptsOf(held), ['second#1']);
      await settle(consumer, held, RELEASE);
      await settle(consumer, await hold(consumer, 1), ACK);
      await consumer.close();
    });
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
