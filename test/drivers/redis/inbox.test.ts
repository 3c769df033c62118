import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Redis } from 'ioredis';
import type { Cancellations, Consumer, DriverConnection, Held, RequestName } from '../../../lib/driver.ts';
import { connectRedis } from '../../../lib/drivers/redis/connection.ts';
import { QueueKeys } from '../../../lib/drivers/redis/keys.ts';
import { cancelledName, type RequestPacket, replyText } from '../../../lib/packet.ts';
import { uniqueQueue } from '../../support/brokers.ts';
import { TcpProxy } from '../../support/proxy.ts';
import { random, seed } from '../../support/random.ts';
import { RedisServer } from '../../support/redis.ts';
import { nextTurn, numbers, until } from '../../support/streams.ts';
import { Letters } from '../contract/letters.ts';
import { hold } from '../contract/stage.ts';

describe('replies over redis', () => {
  let server: RedisServer;
  let redis: Redis;
  let proxy: TcpProxy;
  let asking: DriverConnection;
  let answering: DriverConnection;
  let consumer: Consumer;
  let letters: Letters;
  let keys: QueueKeys;
  let mailbox: string;

  before(async () => {
    server = await RedisServer.start();
    redis = server.client();
    proxy = await TcpProxy.start(server.port);
  });
  after(async () => {
    await proxy[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    keys = new QueueKeys(uniqueQueue());
    asking = connectRedis(proxy.url, { prefix: '', maxClients: 9 });
    answering = connectRedis(server.url, { prefix: '', maxClients: 9 });
    letters = new Letters(asking);
    letters.inbox.watch(keys.queue);
    mailbox = keys.mailbox(letters.inbox.channel) as string;
    consumer = consumerOf(answering);
    await Promise.all([asking.ready(), answering.ready()]);
    await until(async () => (await redis.pubsub('NUMSUB', letters.inbox.channel))[1] === 1);
  });
  afterEach(async () => {
    letters.inbox.close();
    await consumer.close();
    await Promise.all([asking.close(), answering.close()]);
    assert.equal(await redis.exists(mailbox), 0);
  });

  function consumerOf(connection: DriverConnection): Consumer {
    return connection.consumer(keys.queue, { leaseTimeout: 30_000, maxAttempts: 5, onLost: () => {} });
  }

  function push(...packets: Pick<RequestPacket, 'id' | 'channel'>[]): Promise<number> {
    return redis.lpush(keys.queue, ...packets.map((packet) => JSON.stringify({ ...packet, method: 'm' })));
  }

  function answer(held: Held): Promise<boolean> {
    const { id, channel } = JSON.parse(String(held.bytes)) as RequestPacket;
    return consumer.settle(held, { verb: 'ack', reply: { channel, text: replyText(id, id) } });
  }

  /** Puts a message into the mailbox by hand, and tells of it or not. */
  async function publish(id: string, replies: string, isTold: boolean): Promise<void> {
    await redis.xadd(mailbox, id, 'replies', replies);
    if (isTold) await redis.publish(letters.inbox.channel, `${id} ${keys.queue} ${replies}`);
  }

  /** Cancels a request while who watches for that hears nothing; `told` resolves with what it hears in the end. */
  async function cancelUnheard(): Promise<{
    request: RequestName;
    cancellations: Cancellations;
    told: Promise<string>;
  }> {
    let tell: (request: string) => void = () => {};
    const told = new Promise<string>((resolve) => (tell = resolve));
    const cancellations = asking.cancellations(keys.queue, tell);
    await cancellations.ready;
    const request = { id: 'a', channel: letters.inbox.channel };
    proxy.silence(true);
    await answering.cancel(keys.queue, { ...request, body: 'none', until: answering.now() + 60_000 });
    return { request, cancellations, told };
  }

  async function answerAll(count: number): Promise<void> {
    const held = await hold(consumer, count);
    assert.deepEqual(await Promise.all(held.map(answer)), Array(count).fill(true));
  }

  it('are published one by one to who is none of ours', async () => {
    const listener: Redis = server.client();
    await listener.subscribe('foreign');
    const heard: string[] = [];
    listener.on('message', (_channel, message) => heard.push(message));
    await push({ id: 'a', channel: 'foreign' }, { id: 'b', channel: 'foreign' });
    await answerAll(2);
    await until(() => heard.length === 2);
    assert.deepEqual(heard, ['{"id":"a","success":true,"data":"a"}', '{"id":"b","success":true,"data":"b"}']);
  });

  it('are published together to one of ours, with where they stand in its mailbox', async () => {
    const { channel } = letters.inbox;
    const listener: Redis = server.client();
    await listener.subscribe(channel);
    const hearing = once(listener, 'message');
    await push({ id: 'a', channel }, { id: 'b', channel });
    await answerAll(2);
    const [, message] = await hearing;
    const [entry, queue, replies] = message.split(' ');
    assert.match(entry, /^\d+-\d+$/);
    assert.equal(queue, keys.queue);
    assert.deepEqual(
      JSON.parse(replies).map(({ id }: RequestPacket) => id),
      ['a', 'b'],
    );
    assert.ok((await redis.ttl(mailbox)) > 60);
  });

  it('are heard from who publishes them by hand', async () => {
    await redis.publish(letters.inbox.channel, replyText('a', 1));
    await redis.publish(letters.inbox.channel, 'what is this');
    await redis.publish(letters.inbox.channel, replyText('b', 1));
    assert.deepEqual(await letters.ids(2), ['a', 'b']);
  });

  it('are heard behind one that says it stands where nothing does', async () => {
    const { channel } = letters.inbox;
    await redis.publish(channel, `99999999999999-0 ${keys.queue} ${replyText('forged', 1)}`);
    await redis.publish(channel, `1-1 elsewhere ${replyText('astray', 1)}`);
    await push({ id: 'a', channel });
    await answerAll(1);
    assert.deepEqual((await letters.ids(3)).sort(), ['a', 'astray', 'forged']);
    await push({ id: 'b', channel });
    const [held] = await hold(consumer, 1);
    proxy.silence(true);
    assert.equal(await answer(held as Held), true);
    proxy.silence(false);
    proxy.reset();
    assert.equal((await letters.ids(4)).at(-1), 'b');
  });

  it('leave their mailbox when they have been heard', async () => {
    await push({ id: 'a', channel: letters.inbox.channel });
    await answerAll(1);
    await letters.ids(1);
    await until(async () => (await redis.xlen(mailbox)) === 0);
  });

  it('are read when the connection is back', async () => {
    const { channel } = letters.inbox;
    await push(...numbers(3).map((n) => ({ id: String(n), channel })));
    for (const one of await hold(consumer, 3)) {
      // It is published when nobody hears it.
      proxy.silence(true);
      assert.equal(await answer(one), true);
      proxy.silence(false);
      proxy.reset();
    }
    assert.deepEqual(await letters.ids(3), ['0', '1', '2']);
  });

  it('are read though they are more than the server sends to who subscribes at a time', async () => {
    await redis.config('SET', 'client-output-buffer-limit', 'pubsub 4mb 0 0');
    const large = 'x'.repeat(100_000);
    proxy.silence(true);
    for (const n of numbers(100)) await publish(`${n + 1}-0`, replyText(String(n), large), false);
    proxy.silence(false);
    proxy.reset();
    assert.deepEqual(await letters.ids(100), numbers(100).map(String));
    await publish('101-0', replyText('100', 'x'), true);
    assert.deepEqual(await letters.ids(101), numbers(101).map(String));
    await redis.config('SET', 'client-output-buffer-limit', 'pubsub 32mb 8mb 60');
  });

  it('are read though the clock of the server has gone back, behind a mailbox that is over', async () => {
    await push({ id: 'a', channel: letters.inbox.channel });
    await answerAll(1);
    await letters.ids(1);
    await redis.unlink(mailbox);
    await publish('5-0', replyText('b', 1), true);
    await letters.ids(2);
    proxy.silence(true);
    await publish('6-0', replyText('c', 1), false);
    proxy.silence(false);
    proxy.reset();
    assert.deepEqual(await letters.ids(3), ['a', 'b', 'c']);
    await until(async () => (await redis.xlen(mailbox)) === 0);
  });

  it('are not heard behind a close that comes when they are read', async () => {
    proxy.silence(true);
    await publish('1-0', replyText('a', 1), false);
    proxy.silence(false);
    const reading = proxy.hold('xrange');
    proxy.reset();
    const letGo = await reading;
    letters.inbox.close();
    letGo();
    await asking.inspect(keys.queue);
    assert.deepEqual(letters.replies, []);
    letters = new Letters(asking);
  });

  it('come once though it was not heard that they were published', async () => {
    const { channel } = letters.inbox;
    await push({ id: 'a', channel });
    await consumer.close();
    await answering.close();
    answering = connectRedis(proxy.url, { prefix: '', maxClients: 9 });
    consumer = consumerOf(answering);
    const [held] = await hold(consumer, 1);
    const listener: Redis = server.client();
    await listener.subscribe(channel);
    let published = 0;
    listener.on('message', () => (published += 1));
    void proxy.cut('server');
    assert.equal(await answer(held as Held), true);
    await letters.ids(1);
    await listener.ping();
    assert.equal(published, 1);
  });

  it(`come once, all of them, over 50 kills (seed ${seed})`, async () => {
    const dice = random();
    const count = 5000;
    const { channel } = letters.inbox;
    let asked = 0;
    let kills = 0;
    const killing = (async () => {
      while (kills < 50) {
        await until(() => letters.replies.length >= (kills * count) / 60);
        await redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
        kills += 1;
      }
    })();
    while (asked < count) {
      const some = 1 + Math.floor(dice() * 20);
      await push(...numbers(some, asked).map((n) => ({ id: String(n), channel })));
      asked += some;
      await answerAll(some);
      if (dice() < 0.1) await nextTurn();
    }
    await killing;
    const ids = await letters.ids(asked);
    assert.equal(new Set(ids).size, asked);
    assert.equal(ids.length, asked);
  });

  it('tell what was cancelled while the connection was broken', async () => {
    const { request, cancellations, told } = await cancelUnheard();
    proxy.silence(false);
    proxy.reset();
    assert.equal(await told, cancelledName(request));
    assert.equal(cancellations.has(request), true);
    cancellations.close();
  });

  it('are subscribed to once the server is busy no more', async () => {
    await redis.config('RESETSTAT');
    await redis.config('SET', 'busy-reply-threshold', '1');
    const busy = assert.rejects(server.client().eval('while true do end', 0), /Script killed/);
    await until(async () => !(await redis.ping().catch(() => false)));
    const subscribing = proxy.hold('subscribe');
    const late = new Letters(asking);
    (await subscribing)();
    // Behind the answer to the second, all has been read that came before the first.
    for (const _ of numbers(2)) await assert.rejects(redis.ping(), /BUSY/);
    await redis.script('KILL');
    await busy;
    await redis.config('SET', 'busy-reply-threshold', '5000');
    assert.match(await redis.info('commandstats'), /cmdstat_subscribe:.*rejected_calls=[1-9]/);
    await until(async () => (await redis.pubsub('NUMSUB', late.inbox.channel))[1] === 1);
    late.inbox.close();
  });

  describe('where the server can tell nothing when the connection is back', () => {
    /** A replica that has lost its master before it had anything of it: it tells nothing, but takes subscriptions. */
    async function dumb(isDumb: boolean): Promise<void> {
      if (isDumb) await redis.config('RESETSTAT');
      await redis.config('SET', 'replica-serve-stale-data', isDumb ? 'no' : 'yes');
      await (isDumb ? redis.replicaof('127.0.0.1', 1) : redis.replicaof('NO', 'ONE'));
    }

    /** Resolves when a command has been refused. */
    function refused(command: string): Promise<void> {
      const stat = new RegExp(`cmdstat_${command}:.*rejected_calls=[1-9]`);
      return until(async () => stat.test(await redis.info('commandstats')));
    }

    afterEach(() => dumb(false));

    it('are read as soon as it can, before what is heard meanwhile', async () => {
      const { channel } = letters.inbox;
      await push({ id: 'a', channel });
      proxy.silence(true);
      await answerAll(1);
      await dumb(true);
      proxy.silence(false);
      proxy.reset();
      await refused('xrange');
      await redis.publish(channel, `99999999999999-0 ${keys.queue} ${replyText('b', 1)}`);
      await dumb(false);
      assert.deepEqual(await letters.ids(2), ['a', 'b']);
    });

    it('tell what was cancelled as soon as it can', async () => {
      const { request, cancellations, told } = await cancelUnheard();
      await dumb(true);
      proxy.silence(false);
      proxy.reset();
      await refused('zrangebyscore');
      await dumb(false);
      assert.equal(await told, cancelledName(request));
      cancellations.close();
    });
  });
});
