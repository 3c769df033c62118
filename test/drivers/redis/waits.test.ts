import assert from 'node:assert/strict';
import type { Redis } from 'ioredis';
import type { Consumer, DriverConnection, Held } from '../../../lib/driver.ts';
import { type RequestPacket, replyText } from '../../../lib/packet.ts';
import { work } from '../../../lib/work.ts';
import { nextTurn, numbers, until } from '../../support/streams.ts';
import { Letters } from '../contract/letters.ts';
import { textsOf } from '../contract/stage.ts';
import { onRedis, type RedisStage } from './redis-stage.ts';

describe('who waits for redis', () => {
  let stage: RedisStage;
  let redis: Redis;
  let connection: DriverConnection;
  let queue: string;
  let consumer: Consumer;

  onRedis((own) => {
    stage = own;
    ({ redis, connection } = own);
    ({ queue } = own.keys);
    consumer = own.consumer();
  });

  it('has all that was stored in one step', async () => {
    const receiving = consumer.receive(10);
    await stage.waiting();
    await redis.lpush(queue, 'a', 'b', 'c');
    assert.deepEqual(textsOf(await receiving), ['a', 'b', 'c']);
  });

  it('has no more than it has asked for', async () => {
    const receiving = consumer.receive(2);
    await stage.waiting();
    await redis.lpush(queue, 'a', 'b', 'c');
    assert.deepEqual(textsOf(await receiving), ['a', 'b']);
    assert.deepEqual(textsOf(await consumer.receive(2)), ['c']);
  });

  it('has what comes again before what came behind the item that it has waited for', async () => {
    const receiving = consumer.receive(10);
    await stage.waiting();
    await redis.multi().lpush(queue, 'a', 'b').rpush(`{${queue}}:again`, '1 0 x').exec();
    assert.deepEqual(textsOf(await receiving), ['a']);
    assert.deepEqual(textsOf(await consumer.receive(10)), ['x']);
    assert.deepEqual(textsOf(await consumer.receive(10)), ['b']);
  });

  it('has what comes again, though it came while nobody asked', async () => {
    const receiving = consumer.receive(10);
    await stage.waiting();
    await redis.lpush(queue, 'a');
    const [held] = await receiving;
    await consumer.settle(held as Held, { verb: 'retry', delay: 0 });
    const [again] = await consumer.receive(10);
    assert.equal(again?.attempt, 2);
  });

  it('does not look before it waits where it takes singly', async () => {
    const receiver = connection.receiver(queue, { side: 'right', onUnanswered: () => {} });
    await redis.config('RESETSTAT');
    for (const text of ['a', 'b', 'c']) {
      const receiving = receiver.receive(1);
      await stage.waiting();
      await redis.lpush(queue, text);
      assert.deepEqual((await receiving).map(String), [text]);
    }
    assert.doesNotMatch(await redis.info('commandstats'), /cmdstat_lmpop/);
    await receiver.close();
  });

  it('counts as handed over, as it is taken, what a handler waits for, and only that', async () => {
    const holdings = async (): Promise<string> => {
      const [key = ''] = await redis.keys(`{${queue}}:in-process:*`);
      return key;
    };
    const receiving = consumer.receive(10, true);
    await stage.waiting();
    await redis.lpush(queue, 'a', 'b');
    const [first, second] = await receiving;
    assert.equal(await redis.hget(await holdings(), 'handed'), '1 1');
    await redis.config('RESETSTAT');
    consumer.handOver(first as Held);
    await consumer.settle(first as Held, { verb: 'ack' });
    assert.match(await redis.info('commandstats'), /cmdstat_hget:calls=2,/, 'the settlement alone');
    await consumer.settle(second as Held, { verb: 'ack' });
    await redis.lpush(queue, 'c');
    await consumer.receive(10);
    assert.equal(await redis.hget(await holdings(), 'handed'), '1 1');
  });

  it('counts nothing as handed over, as it is taken, that has few attempts', async () => {
    const few = stage.consumer({ maxAttempts: 2 });
    const receiving = few.receive(10, true);
    await stage.waiting();
    await redis.lpush(queue, 'a');
    assert.deepEqual(textsOf(await receiving), ['a']);
    const [holdings = ''] = await redis.keys(`{${queue}}:in-process:*`);
    assert.equal(await redis.hget(holdings, 'handed'), null);
    await few.close();
  });

  it('is not told more of a worker that is idle than what it takes and what it has done', async () => {
    const worker = work(queue, () => {}, { connection: stage.server.url });
    await worker.ready;
    const settled = async (): Promise<number> => Number(await redis.hget(`{${queue}}:marks`, 'settled'));
    const pushAndWait = async (n: number): Promise<void> => {
      await redis.lpush(queue, String(n));
      await until(async () => (await settled()) === n);
    };
    for (const n of [1, 2]) await pushAndWait(n);
    await redis.config('RESETSTAT');
    for (const n of numbers(20)) await pushAndWait(n + 3);
    const [, calls] = /cmdstat_evalsha:calls=(\d+),/.exec(await redis.info('commandstats')) ?? [];
    // Two for each; a sign of life may be among them.
    assert.ok(Number(calls) < 45, `${calls} calls for 20 items`);
    await worker.close();
  });

  describe('and answers', () => {
    let letters: Letters;
    beforeEach(async () => {
      letters = new Letters(connection);
      letters.inbox.watch(queue);
      await until(async () => (await redis.pubsub('NUMSUB', letters.inbox.channel))[1] === 1);
    });
    afterEach(() => letters.inbox.close());

    const ask = (id: string): Promise<number> => {
      const packet: RequestPacket = { id, method: 'm', channel: letters.inbox.channel };
      return redis.lpush(queue, JSON.stringify(packet));
    };
    const answer = (held: Held): Promise<boolean> => {
      const { id, channel } = JSON.parse(String(held.bytes)) as RequestPacket;
      return consumer.settle(held, { verb: 'ack', reply: { channel, text: replyText(id, id) } });
    };
    /** Answers one request, and asks for the next in the same turn. */
    async function step(id: string, receiving: Promise<readonly Held[]>): Promise<Promise<readonly Held[]>[]> {
      await ask(id);
      const [held] = await receiving;
      const next = consumer.receive(10);
      assert.equal(await answer(held as Held), true);
      return [next];
    }

    it('is heard at once, one request after the other', async () => {
      let receiving = consumer.receive(10);
      for (const n of numbers(20)) [receiving] = (await step(String(n), receiving)) as [Promise<readonly Held[]>];
      assert.deepEqual(await letters.ids(20), numbers(20).map(String));
      consumer.cancel();
      assert.deepEqual(await receiving, []);
    });

    it('does not begin to wait when it is cancelled at that moment', async () => {
      const [next] = (await step('a', consumer.receive(10))) as [Promise<readonly Held[]>];
      const [receiving] = (await step('b', next)) as [Promise<readonly Held[]>];
      consumer.cancel();
      await receiving;
      await ask('c');
      const [held] = await consumer.receive(10);
      await redis.config('RESETSTAT');
      // Before what the wait is put off by.
      setImmediate(() => consumer.cancel());
      const waitingAgain = consumer.receive(10);
      const answered = answer(held as Held);
      assert.deepEqual(await waitingAgain, []);
      assert.equal(await answered, true);
      assert.doesNotMatch(await redis.info('commandstats'), /cmdstat_blmove/);
    });

    it('is heard though the connection breaks with which it waits', async () => {
      let receiving = consumer.receive(10);
      for (const n of numbers(20)) {
        [receiving] = (await step(String(n), receiving)) as [Promise<readonly Held[]>];
        if (n % 3 === 2) await redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
        await nextTurn();
      }
      assert.deepEqual(await letters.ids(20), numbers(20).map(String));
      consumer.cancel();
      assert.deepEqual(await receiving, []);
    });

    it('is heard though the server has forgotten its scripts', async () => {
      let receiving = consumer.receive(10);
      for (const n of numbers(2)) {
        [receiving] = (await step(String(n), receiving)) as [Promise<readonly Held[]>];
        await redis.script('FLUSH');
      }
      assert.deepEqual(await letters.ids(2), numbers(2).map(String));
      consumer.cancel();
      assert.deepEqual(await receiving, []);
    });
  });
});
