import assert from 'node:assert/strict';
import type { Redis } from 'ioredis';
import type { Consumer, Held } from '../../../lib/driver.ts';
import type { QueueKeys } from '../../../lib/drivers/redis/keys.ts';
import { TcpProxy } from '../../support/proxy.ts';
import { numbers } from '../../support/streams.ts';
import { ACK, attemptsOf, hold, settle, textsOf } from '../contract/stage.ts';
import { onRedis, type RedisStage } from './redis-stage.ts';

describe('what a consumer holds in redis', () => {
  let stage: RedisStage;
  let redis: Redis;
  let keys: QueueKeys;

  onRedis((own) => {
    stage = own;
    ({ redis, keys } = own);
  });

  /** Holds two items, of which the first is handed over. */
  async function holdTwo(consumer: Consumer): Promise<Held[]> {
    await redis.lpush(keys.queue, 'seen', 'unseen');
    const held = await hold(consumer, 2);
    consumer.handOver(held[0] as Held);
    await stage.connection.inspect(keys.queue);
    return held;
  }

  function left(kind: string): Promise<string[]> {
    return redis.keys(`${keys.base}${kind}*`);
  }

  it('is not forgotten, however long nobody comes, when the last who lives leaves', async () => {
    const dying = await stage.connect();
    const crashed = stage.consumer({ name: 'crashed' }, dying);
    await redis.lpush(keys.queue, 'held');
    await hold(crashed, 1);
    await dying.close();
    const last = stage.consumer({ name: 'last' });
    await stage.connection.inspect(keys.queue);
    await last.close();
    assert.equal(await redis.ttl(keys.consumers), -1);
    await crashed.close(AbortSignal.abort());
  });

  it('is had once though the connection breaks between the word of it and the items', async () => {
    await using proxy = await TcpProxy.start(stage.server.port);
    const through = await stage.connect(proxy.url);
    const consumer = stage.consumer({ name: 'cut' }, through);
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
      const consumer = stage.consumer({ name: 'forgotten', onLost: (items) => (lost = items) });
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
      const consumer = stage.consumer({ name: 'forgotten' });
      const receiving = consumer.receive(10);
      await stage.waiting();
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
      const consumer = stage.consumer({ name: 'forgotten' });
      await holdTwo(consumer);
      await forget();
      await consumer.close();
      assert.deepEqual(await redis.lrange(keys.again, 0, -1), ['0 0 unseen', '0 0 seen']);
      assert.deepEqual([...(await left('parcel')), ...(await left('in-process'))], []);
    });

    it('goes back when it leaves and does know', async () => {
      const consumer = stage.consumer({ name: 'forgotten', onLost: () => {} });
      const [seen] = await holdTwo(consumer);
      await forget();
      assert.equal(await consumer.settle(seen as Held, ACK), false);
      await consumer.close();
      assert.deepEqual(await redis.lrange(keys.again, 0, -1), ['0 0 unseen', '0 0 seen']);
      assert.deepEqual([...(await left('parcel')), ...(await left('in-process'))], []);
    });
  });
});
