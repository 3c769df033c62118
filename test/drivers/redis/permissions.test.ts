import assert from 'node:assert/strict';
import type { Redis } from 'ioredis';
import type { DriverConnection } from '../../../lib/driver.ts';
import { connectRedis } from '../../../lib/drivers/redis/connection.ts';
import { QueueKeys } from '../../../lib/drivers/redis/keys.ts';
import { cancelledName, replyText } from '../../../lib/packet.ts';
import { uniqueQueue } from '../../support/brokers.ts';
import { RedisServer } from '../../support/redis.ts';
import { until } from '../../support/streams.ts';
import { Letters } from '../contract/letters.ts';
import { hold } from '../contract/stage.ts';

/** The users of the server, each with the only channels that it may use. */
const USERS = { asker: 'millrace:replies:*', worker: 'millrace:wake:*' };

describe('a user of redis who may not sort', () => {
  it('is refused what it would take, which stays where it was', async () => {
    await using server = await RedisServer.start();
    const redis = server.client();
    await redis.call('ACL', 'SETUSER', 'limited', 'on', '>pw', '~*', '&*', '+@all', '-sort');
    const connection = connectRedis(server.url.replace('//', '//limited:pw@'), { prefix: '', maxClients: 9 });
    const queue = uniqueQueue();
    await redis.lpush(queue, 'a', 'b');
    const consumer = connection.consumer(queue, { leaseTimeout: 30_000, maxAttempts: 5, onLost: () => {} });
    await assert.rejects(consumer.receive(2), { code: 'ERR_MILLRACE_REFUSED', message: /can't run this command/ });
    assert.deepEqual(await redis.lrange(queue, 0, -1), ['b', 'a']);
    await consumer.close();
    assert.deepEqual(await redis.keys('*'), [queue]);
    await connection.close();
  });
});

describe('a user of redis who may subscribe to some channels only', () => {
  let server: RedisServer;
  let redis: Redis;
  let free: DriverConnection;
  let limited: DriverConnection;
  let keys: QueueKeys;

  before(async () => {
    server = await RedisServer.start();
    redis = server.client();
    for (const [user, channels] of Object.entries(USERS)) {
      await redis.call('ACL', 'SETUSER', user, 'on', '>pw', '~*', '+@all', 'resetchannels', `&${channels}`);
    }
  });
  after(() => server[Symbol.asyncDispose]());

  beforeEach(() => {
    keys = new QueueKeys(uniqueQueue());
    free = connectRedis(server.url, { prefix: '', maxClients: 9 });
  });
  afterEach(() => Promise.all([free.close(), limited.close()]));

  async function login(user: keyof typeof USERS): Promise<void> {
    limited = connectRedis(server.url.replace('//', `//${user}:pw@`), { prefix: '', maxClients: 9 });
    await limited.ready();
  }

  async function subscribers(channel: string): Promise<unknown> {
    return (await redis.pubsub('NUMSUB', channel))[1];
  }

  /** Watches for what is cancelled. */
  async function watch() {
    let tell: (request: string) => void = () => {};
    const told = new Promise<string>((resolve) => (tell = resolve));
    const cancellations = limited.cancellations(keys.queue, tell);
    await cancellations.ready;
    return { cancellations, told };
  }

  it('is told of what is cancelled though it may subscribe to replies alone', async () => {
    await login('asker');
    const { cancellations, told } = await watch();
    const { inbox } = new Letters(limited);
    await until(async () => (await subscribers(inbox.channel)) === 1);
    const request = { id: 'a', channel: 'elsewhere' };
    await free.cancel(keys.queue, { ...request, body: 'none', until: free.now() + 60_000 });
    assert.equal(await told, cancelledName(request));
    cancellations.close();
    inbox.close();
  });

  it('gets its replies though it may subscribe to what a queue tells alone', async () => {
    await login('worker');
    const letters = new Letters(limited);
    letters.inbox.watch(keys.queue);
    const { cancellations } = await watch();
    await until(async () => (await subscribers(keys.wake)) === 1);
    const { channel } = letters.inbox;
    await redis.lpush(keys.queue, JSON.stringify({ id: 'a', method: 'm', channel }));
    const consumer = free.consumer(keys.queue, { leaseTimeout: 30_000, maxAttempts: 5, onLost: () => {} });
    for (const held of await hold(consumer, 1)) {
      await consumer.settle(held, { verb: 'ack', reply: { channel, text: replyText('a', 1) } });
    }
    assert.deepEqual(await letters.ids(1), ['a']);
    await consumer.close();
    cancellations.close();
    letters.inbox.close();
  });

  it('is subscribed to what it may be when its connection is back', async () => {
    await login('asker');
    const { inbox } = new Letters(limited);
    const { cancellations } = await watch();
    await until(async () => (await subscribers(inbox.channel)) === 1);
    await redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await until(async () => (await subscribers(inbox.channel)) === 1);
    cancellations.close();
    inbox.close();
  });
});
