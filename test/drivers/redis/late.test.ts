import assert from 'node:assert/strict';
import type { Redis } from 'ioredis';
import type { Held } from '../../../lib/driver.ts';
import type { QueueKeys } from '../../../lib/drivers/redis/keys.ts';
import { TcpProxy } from '../../support/proxy.ts';
import { numbers } from '../../support/streams.ts';
import { ACK, settle, textsOf } from '../contract/stage.ts';
import { onRedis, type RedisStage } from './redis-stage.ts';

const NAME = 'worker';

/** A server carries out what a broken connection has brought it when it comes to that: here that is said by hand. */
describe('what redis carries out late of a wait whose connection broke', () => {
  let stage: RedisStage;
  let redis: Redis;
  let keys: QueueKeys;

  onRedis((own) => {
    stage = own;
    ({ redis, keys } = own);
  });

  /** Where what is moved for the consumer lands. */
  async function landing(): Promise<string> {
    return keys.landing(await stage.incarnation(NAME));
  }

  /** Keys and arguments of the take that a consumer says behind a pop. */
  async function takeOf(number: number, max = 10, atOnce = 0): Promise<[keys: string[], args: (string | number)[]]> {
    const who = await stage.incarnation(NAME);
    const { queue, again, consumers } = keys;
    return [
      [queue, again, consumers, keys.inProcess(NAME), keys.landing(who), keys.parcels(who) + number],
      [0, NAME, who, number, max, atOnce],
    ];
  }

  it('has what a take brings of which nobody hears', async () => {
    const consumer = stage.consumer({ name: NAME });
    const receiving = consumer.receive(10);
    const [where, args] = await takeOf(1);
    await stage.waiting();
    await redis
      .multi()
      .lpush(keys.queue, 'item')
      .millraceTake(...where, ...args)
      .exec();
    const items = await receiving;
    assert.deepEqual(textsOf(items), ['item']);
    assert.ok(await consumer.settle(items[0] as Held, ACK));
    await consumer.close();
  });

  it('takes nothing by what has been answered already', async () => {
    const consumer = stage.consumer({ name: NAME });
    await redis.lpush(keys.queue, 'first');
    const [first] = await consumer.receive(10);
    assert.ok(await consumer.settle(first as Held, ACK));
    await redis.lpush(keys.queue, 'second');
    const [where, args] = await takeOf(1);
    assert.equal(await redis.millraceTake(...where, ...args), null);
    assert.deepEqual(textsOf(await consumer.receive(10)), ['second']);
    await consumer.close();
  });

  it('makes one parcel of what has landed, however often, and however late, that is said', async () => {
    const consumer = stage.consumer({ name: NAME });
    await redis.lpush(keys.queue, 'first');
    await consumer.receive(10);
    const who = await stage.incarnation(NAME);
    const inProcess = keys.inProcess(NAME);
    const parcels = keys.parcels(who);
    await redis.lpush(await landing(), 'landed', 'next');
    const [where, args] = await takeOf(2, -1, 1);
    const mark = String(await redis.millraceTake(...where, ...args));
    assert.match(mark, /^q\d+$/);
    assert.equal(await redis.millraceTake(...where, ...args), mark);
    assert.deepEqual(await redis.lrange(`${parcels}2`, 0, -1), ['landed']);
    assert.deepEqual(await redis.hmget(inProcess, '2', 'last', 'handed'), [mark, '2', '2 1']);
    await redis.millraceAck(keys.consumers, inProcess, keys.marks, parcels, NAME, who, 1, 2, Buffer.of(0xff));
    assert.equal(await redis.millraceTake(...where, ...args), null);
    assert.deepEqual(await redis.lrange(await landing(), 0, -1), ['next']);
    await consumer.close();
  });

  it('has what has landed and was not taken any more', async () => {
    const consumer = stage.consumer({ name: NAME });
    await redis.lpush(await landing(), 'item');
    const items = await consumer.receive(10);
    assert.deepEqual(textsOf(items), ['item']);
    await consumer.close();
  });

  it('has what has landed long since its connection broke, beside what it hears of', async () => {
    const consumer = stage.consumer({ name: NAME });
    const place = await landing();
    let receiving = consumer.receive(10, true);
    await stage.waiting();
    await redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    for (const n of numbers(6)) {
      await redis.lpush(keys.queue, n);
      assert.ok(await consumer.settle((await receiving)[0] as Held, ACK));
      receiving = consumer.receive(10, true);
      await stage.waiting();
    }
    await redis.multi().lpush(place, 'late').lpush(keys.queue, 'next').exec();
    const items = await receiving;
    assert.deepEqual(textsOf(items), ['late', 'next']);
    await settle(consumer, items, ACK);
    await consumer.close();
  });

  it('has it again elsewhere when its consumer has died, and as if it had never been taken', async () => {
    const dying = await stage.connect();
    const former = stage.consumer({ name: NAME }, dying);
    await redis.lpush(await landing(), 'item');
    await dying.close();
    await former.close(AbortSignal.abort());
    const other = stage.consumer({ name: NAME });
    const items = await other.receive(10);
    assert.deepEqual([textsOf(items), items[0]?.attempt], [['item'], 1]);
    await other.close();
  });

  it('has it again elsewhere when its consumer asks no more', async () => {
    await using proxy = await TcpProxy.start(stage.server.port);
    const through = await stage.connect(proxy.url);
    const paused = stage.consumer({ name: NAME, leaseTimeout: 600 }, through);
    const waits = proxy.hold('BLMOVE');
    const receiving = paused.receive(10);
    await waits;
    await stage.waiting();
    await redis.lpush(keys.queue, 'heard of by nobody');
    paused.cancel();
    proxy.reset();
    assert.deepEqual(await receiving, []);
    const other = stage.consumer({ name: 'other', leaseTimeout: 600 });
    const items = await other.receive(10);
    assert.deepEqual([textsOf(items), items[0]?.attempt], [['heard of by nobody'], 1]);
    await redis.lpush(await landing(), 'late');
    assert.deepEqual(textsOf(await other.receive(10)), ['late']);
    await other.close();
    await paused.close();
    await through.close();
  });
});
