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
import { ACK, attemptsOf, hold, RELEASE, settle, textsOf } from '../contract/stage.ts';

const NAME = 'patient';

describe('what lands for a consumer of lone items', () => {
  let server: RedisServer;
  let redis: Redis;
  let proxy: TcpProxy;
  let connection: DriverConnection;
  let other: DriverConnection;
  let keys: QueueKeys;
  let lost: Held[];

  before(async () => {
    server = await RedisServer.start();
    redis = server.client();
  });
  after(() => server[Symbol.asyncDispose]());

  beforeEach(async () => {
    proxy = await TcpProxy.start(server.port);
    connection = connectRedis(proxy.url, { prefix: '', maxClients: 9 });
    other = connectRedis(server.url, { prefix: '', maxClients: 9 });
    await Promise.all([connection.ready(), other.ready()]);
    keys = new QueueKeys(uniqueQueue());
    lost = [];
  });
  afterEach(async () => {
    await connection.close();
    await other.close();
    await proxy[Symbol.asyncDispose]();
    assert.deepEqual(await redis.keys(`*${keys.queue}*`), [keys.marks]);
  });

  function consumerOf(from: DriverConnection, leaseTimeout = 30_000): Consumer {
    const onLost = (items: readonly Held[]): void => void lost.push(...items);
    return from.consumer(keys.queue, { name: NAME, leaseTimeout, maxAttempts: 5, onLost });
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

  async function incarnation(): Promise<string> {
    const record = (await redis.hget(keys.consumers, NAME)) as string;
    return record.slice(0, record.indexOf(' '));
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

  it('is not given to who knows that another has its name', async () => {
    const consumer = await patient();
    const [slow] = await received(consumer, 'slow');
    const [receiving, hear] = await landUnheard(consumer);
    const heir = consumerOf(other);
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
    const next = consumerOf(other);
    const held = await hold(next, 1);
    assert.deepEqual(attemptsOf(held), ['unheard#1']);
    await settle(next, held, ACK);
    await next.close();
  });

  it('is waited for no longer by who was replaced and not told', async () => {
    await redis.acl('SETUSER', 'quiet', 'on', '>word', '~*', '&*', '+@all', '-publish');
    const url = `redis://quiet:word@127.0.0.1:${server.port}`;
    const quiet = connectRedis(url, { prefix: '', maxClients: 9 });
    const consumer = await patient(quiet, 600_000);
    const receiving = consumer.receive(10, true);
    await until(async () => (await redis.info('clients')).includes('blocked_clients:1\r'));
    const before = await incarnation();
    const heir = consumerOf(quiet);
    await until(async () => (await incarnation()) !== before);
    await assert.rejects(receiving, { code: 'ERR_MILLRACE_FENCED' });
    await consumer.close();
    await heir.close();
    await quiet.close();
  });

  it('is acknowledged, and not taken again, where only the script that takes is known', async () => {
    const consumer = await patient();
    const receiving = consumer.receive(10, true).then(([item]): Promise<[boolean, readonly Held[]]> => {
      return Promise.all([consumer.settle(item as Held, ACK), consumer.receive(10, true)]);
    });
    await redis.multi().script('FLUSH').script('LOAD', scripts.millraceTake.lua).lpush(keys.queue, 'x', 'y').exec();
    const [isSettled, held] = await receiving;
    assert.equal(isSettled, true);
    assert.deepEqual(attemptsOf(held), ['y#1']);
    await settle(consumer, held, ACK);
    await consumer.close();
  });

  it('goes back where the script that takes is not known', async () => {
    const consumer = await patient();
    const receiving = consumer.receive(10, true).then(([item]) => consumer.settle(item as Held, RELEASE));
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
    const client = server.client({ scripts });
    const where = [keys.consumers, inProcess, keys.marks, parcels];
    assert.equal(await client.millraceAck(...where, NAME, who, 1, last + 2, Buffer.of(0xff)), 1);
    assert.deepEqual(await redis.lrange(`${parcels}${last + 1}`, 0, -1), ['before']);
    assert.equal(await redis.exists(landing), 0);
    await consumer.close();
    const next = consumerOf(other);
    await settle(next, await hold(next, 1), ACK);
    await next.close();
  });

  it('does not keep the word back of what came before it', async () => {
    const consumer = await patient();
    await settle(consumer, await received(consumer, 'first', 'a', 'b', 'c'), ACK);
    const held = await consumer.receive(10);
    const receiving = consumer.receive(10, true).then(() => {
      consumer.handOver(held[2] as Held);
      return connection.close();
    });
    await redis.lpush(keys.queue, 'x');
    await receiving;
    const heir = consumerOf(other);
    const again = await hold(heir, 4);
    assert.deepEqual(attemptsOf(again), ['a#2', 'b#2', 'c#2', 'x#2']);
    await settle(heir, again, ACK);
    await consumer.close(AbortSignal.abort());
    await heir.close();
  });
});
