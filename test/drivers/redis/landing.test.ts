import assert from 'node:assert/strict';
import type { Redis } from 'ioredis';
import type { Consumer, DriverConnection, Held } from '../../../lib/driver.ts';
import type { QueueKeys } from '../../../lib/drivers/redis/keys.ts';
import { scripts } from '../../../lib/drivers/redis/scripts/index.ts';
import { TcpProxy } from '../../support/proxy.ts';
import { numbers, until } from '../../support/streams.ts';
import { ACK, attemptsOf, hold, RELEASE, settle, textsOf } from '../contract/stage.ts';
import { onRedis, type RedisStage } from './redis-stage.ts';

const NAME = 'patient';

describe('what lands for a consumer of lone items', () => {
  let stage: RedisStage;
  let redis: Redis;
  let keys: QueueKeys;
  let proxy: TcpProxy;
  let connection: DriverConnection;
  let lost: Held[];

  onRedis(async (own) => {
    stage = own;
    ({ redis, keys } = own);
    proxy = await TcpProxy.start(stage.server.port);
    connection = await stage.connect(proxy.url);
    lost = [];
  });
  afterEach(async () => {
    await proxy[Symbol.asyncDispose]();
    assert.deepEqual(await redis.keys(`*${keys.queue}*`), [keys.marks]);
  });

  function consumerOf(from?: DriverConnection, leaseTimeout = 30_000): Consumer {
    return stage.consumer({ name: NAME, leaseTimeout, onLost: (items) => void lost.push(...items) }, from);
  }

  /** A consumer to which so many items have come alone that it takes the next for one, too. */
  async function patient(from = connection, leaseTimeout?: number): Promise<Consumer> {
    const consumer = consumerOf(from, leaseTimeout);
    for (const n of numbers(6)) await settle(consumer, await received(consumer, String(n)), ACK);
    return consumer;
  }

  /** What a consumer receives when something is pushed. */
  async function received(consumer: Consumer, ...bodies: string[]): Promise<readonly Held[]> {
    const receiving = consumer.receive(10, true);
    await redis.lpush(keys.queue, ...bodies);
    return await receiving;
  }

  /** Has something done with the next item at the moment in which it comes. */
  async function next<Result>(consumer: Consumer, act: (item: Held) => Result): Promise<Awaited<Result>> {
    const [item] = await consumer.receive(10, true);
    return await act(item as Held);
  }

  function incarnation(): Promise<string> {
    return stage.incarnation(NAME);
  }

  /** What lies where a wait has put it. */
  async function landed(): Promise<string[]> {
    return redis.lrange(keys.landing(await incarnation()), 0, -1);
  }

  /** Lets something land of which the consumer does not hear until the function that it gives is called. */
  async function landUnheard(consumer: Consumer): Promise<[receiving: Promise<readonly Held[]>, hear: () => void]> {
    const landing = keys.landing(await incarnation());
    const holding = proxy.hold('BLMOVE');
    const receiving = consumer.receive(10, true);
    receiving.catch(() => {});
    const hear = await holding;
    await redis.lpush(keys.queue, 'unheard');
    await until(async () => (await redis.llen(landing)) === 1);
    return [receiving, hear];
  }

  it('is no parcel, and charged to who dies of it at once', async () => {
    const consumer = await patient();
    const dying = next(consumer, () => connection.close());
    await redis.lpush(keys.queue, 'deadly');
    await dying;
    assert.deepEqual(await landed(), ['deadly']);
    const reborn = consumerOf();
    const held = await hold(reborn, 1);
    assert.deepEqual(attemptsOf(held), ['deadly#2']);
    await settle(reborn, held, ACK);
    await reborn.close();
    await consumer.close(AbortSignal.abort());
  });

  it('becomes a parcel where its handler takes its time', async () => {
    const consumer = await patient();
    const receiving = next(consumer, (item) => item);
    await redis.lpush(keys.queue, 'slow');
    const item = await receiving;
    await until(async () => (await landed()).length === 0);
    const [parcel] = await redis.keys(`${keys.parcels(await incarnation())}*`);
    assert.deepEqual(await redis.lrange(parcel as string, 0, -1), ['slow']);
    await settle(consumer, [item], ACK);
    await consumer.close();
  });

  it('goes back at once where it is released', async () => {
    const consumer = await patient();
    const released = next(consumer, (item) => consumer.settle(item, RELEASE));
    await redis.lpush(keys.queue, 'released');
    assert.equal(await released, true);
    assert.deepEqual(await redis.lrange(keys.again, 0, -1), ['0 0 released']);
    await settle(consumer, await hold(consumer, 1), ACK);
    await consumer.close();
  });

  it('is settled by the hop of what was made of it', async () => {
    const consumer = await patient();
    const sender = connection.sender(keys.queue, { side: 'right' });
    const hopped = next(consumer, (item) => sender.send(['made'], { settles: { consumer, items: [item] } }));
    await redis.lpush(keys.queue, 'raw');
    assert.equal(await hopped, true);
    const held = await hold(consumer, 1);
    assert.deepEqual(attemptsOf(held), ['made#1']);
    await settle(consumer, held, ACK);
    await sender.close();
    await consumer.close();
  });

  it('is acknowledged, and not the one behind it, where the server has forgotten the script', async () => {
    const consumer = await patient();
    const goesAlong = next(consumer, (item) => ({
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

  it('is not given to who knows that another has its name', async () => {
    const consumer = await patient();
    const [slow] = await received(consumer, 'slow');
    const [receiving, hear] = await landUnheard(consumer);
    const heir = consumerOf();
    const held = await hold(heir, 2);
    assert.equal(await consumer.settle(slow as Held, ACK), false);
    hear();
    await assert.rejects(receiving, { code: 'ERR_MILLRACE_FENCED' });
    assert.deepEqual(lost, []);
    await settle(heir, held, ACK);
    await consumer.close();
    await heir.close();
  });

  it('goes back unsaid when its consumer is closed meanwhile', async () => {
    const consumer = await patient();
    const [receiving, hear] = await landUnheard(consumer);
    const closing = consumer.close();
    hear();
    assert.deepEqual(textsOf(await receiving), ['unheard']);
    await closing;
    await connection.inspect(keys.queue);
    assert.deepEqual(lost, []);
    const heir = consumerOf();
    const held = await hold(heir, 1);
    assert.deepEqual(attemptsOf(held), ['unheard#1']);
    await settle(heir, held, ACK);
    await heir.close();
  });

  it('is waited for no longer by who was replaced and not told', async () => {
    await redis.acl('SETUSER', 'quiet', 'on', '>word', '~*', '&*', '+@all', '-publish');
    const quiet = await stage.connect(`redis://quiet:word@127.0.0.1:${stage.server.port}`);
    const consumer = await patient(quiet, 600_000);
    const receiving = consumer.receive(10, true);
    await stage.waiting();
    const before = await incarnation();
    const heir = consumerOf(quiet);
    await until(async () => (await incarnation()) !== before);
    await assert.rejects(receiving, { code: 'ERR_MILLRACE_FENCED' });
    await consumer.close();
    await heir.close();
  });

  it('is acknowledged, and not taken again, where only the script that takes is known', async () => {
    const consumer = await patient();
    const receiving = next(consumer, (item) => Promise.all([consumer.settle(item, ACK), consumer.receive(10, true)]));
    await redis.multi().script('FLUSH').script('LOAD', scripts.millraceTake.lua).lpush(keys.queue, 'x', 'y').exec();
    const [isSettled, held] = await receiving;
    assert.equal(isSettled, true);
    assert.deepEqual(attemptsOf(held), ['y#1']);
    await settle(consumer, held, ACK);
    await consumer.close();
  });

  it('goes back where the script that takes is not known', async () => {
    const consumer = await patient();
    const receiving = next(consumer, (item) => consumer.settle(item, RELEASE));
    await redis.multi().script('FLUSH').lpush(keys.queue, 'x').exec();
    assert.equal(await receiving, true);
    assert.deepEqual(await redis.lrange(keys.again, 0, -1), ['0 0 x']);
    await settle(consumer, await hold(consumer, 1), ACK);
    await consumer.close();
  });

  it('is settled, and not what has landed before it, of which the word is to come', async () => {
    const consumer = await patient();
    const inProcess = keys.inProcess(NAME);
    const who = await incarnation();
    const landing = keys.landing(who);
    const parcels = keys.parcels(who);
    const last = Number(await redis.hget(inProcess, 'last'));
    await redis.lpush(landing, 'before', 'settled');
    const where = [keys.consumers, inProcess, keys.marks, parcels];
    assert.equal(await redis.millraceAck(...where, NAME, who, 1, last + 2, Buffer.of(0xff)), 1);
    assert.deepEqual(await redis.lrange(`${parcels}${last + 1}`, 0, -1), ['before']);
    assert.equal(await redis.exists(landing), 0);
    await consumer.close();
    const heir = consumerOf();
    await settle(heir, await hold(heir, 1), ACK);
    await heir.close();
  });

  it('does not keep the word back of what came before it', async () => {
    const consumer = await patient();
    await settle(consumer, await received(consumer, 'first', 'a', 'b', 'c'), ACK);
    const held = await consumer.receive(10);
    const receiving = next(consumer, () => {
      consumer.handOver(held[2] as Held);
      return connection.close();
    });
    await redis.lpush(keys.queue, 'x');
    await receiving;
    const heir = consumerOf();
    const again = await hold(heir, 4);
    assert.deepEqual(attemptsOf(again), ['a#2', 'b#2', 'c#2', 'x#2']);
    await settle(heir, again, ACK);
    await consumer.close(AbortSignal.abort());
    await heir.close();
  });
});
