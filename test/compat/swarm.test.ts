import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Redis } from 'ioredis';
import { type Consumer, configure, createConsumer, createProducer, type Producer } from '../../lib/compat/swarm.ts';
import { type Connection, connect } from '../../lib/index.ts';
import { uniqueQueue } from '../support/brokers.ts';
import { TcpProxy } from '../support/proxy.ts';
import { RedisServer } from '../support/redis.ts';
import { numbers, until } from '../support/streams.ts';
import { killOthers } from './support/killing.ts';

interface Packet {
  id: string;
  command: string;
  payload?: unknown;
  replyTo?: string;
}

describe('swarm', () => {
  let server: RedisServer;
  let redis: Redis;
  let connection: Connection;
  let namespace: string;
  const ended: { end(): void }[] = [];

  before(async () => {
    server = await RedisServer.start();
    redis = server.client();
    connection = connect(server.url);
  });
  after(async () => {
    await connection.close();
    await server[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    namespace = uniqueQueue();
    configure({ host: '127.0.0.1', port: server.port, namespace });
  });
  afterEach(() => {
    for (const one of ended.splice(0)) one.end();
  });

  function newProducer(): Producer {
    const producer = createProducer();
    ended.push(producer);
    return producer;
  }

  function newConsumer(channel = 'math'): Consumer {
    const consumer = createConsumer(channel);
    ended.push(consumer);
    return consumer;
  }

  function ask(producer: Producer, command: string, payload?: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      producer.queue('math', command, payload, (err, result) => (err ? reject(err) : resolve(result)));
    });
  }

  /** What is published at a channel, as it comes. */
  async function listen(channel: string): Promise<string[]> {
    const subscriber = server.client();
    const messages: string[] = [];
    subscriber.on('message', (_channel, message) => messages.push(message));
    await subscriber.subscribe(channel);
    return messages;
  }

  async function pop(): Promise<Packet> {
    return JSON.parse((await redis.rpop(`${namespace}:math`)) as string);
  }

  async function held(): Promise<number> {
    return (await connection.inspect(`${namespace}:math`)).inProcess;
  }

  describe('the producer, on the wire', () => {
    it('puts a request at the left, then announces it', async () => {
      const announced = await listen(`${namespace}:math:request`);
      newProducer().queue('math', 'add', [2, 3, 4]);
      await until(() => announced.length === 1);
      assert.deepEqual(announced, ['']);
      const { id, ...request } = await pop();
      assert.match(id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
      assert.deepEqual(request, { command: 'add', payload: [2, 3, 4] });
      assert.deepEqual(await redis.pubsub('CHANNELS', `${namespace}:response:*`), []);
    });

    it('says where a response goes to, and hears it there', async () => {
      const announced = await listen(`${namespace}:math:request`);
      const asked = ask(newProducer(), 'add', [2, 3, 4]);
      await until(() => announced.length === 1);
      const { id, replyTo } = await pop();
      for (const said of ['no JSON', 'null', '"text"', '{}'])
        await redis.publish(`${namespace}:response:${replyTo}`, said);
      const response = JSON.stringify({ id, result: 9 });
      assert.equal(await redis.publish(`${namespace}:response:${replyTo}`, response), 1);
      assert.equal(await asked, 9);
    });

    it('queues in order, with a callback or without', async () => {
      const announced = await listen(`${namespace}:math:request`);
      const producer = newProducer();
      for (const n of numbers(20)) {
        if (n % 3 === 1) producer.queue('math', 'add', n, () => {});
        else producer.queue('math', 'add', n);
      }
      await until(() => announced.length === 20);
      const packets: Packet[] = [];
      for (const _ of numbers(20)) packets.push(await pop());
      assert.deepEqual(
        packets.map(({ payload }) => payload),
        numbers(20),
      );
      // What has no response would keep the producer, and the test, from its end.
      for (const { id, replyTo } of packets) {
        if (replyTo) await redis.publish(`${namespace}:response:${replyTo}`, JSON.stringify({ id }));
      }
    });
  });

  describe('the consumer, on the wire', () => {
    it('takes from the right, at once what is there, and publishes results and errors', async () => {
      const responses = await listen(`${namespace}:response:me`);
      const put = (packet: object): Promise<number> => redis.lpush(`${namespace}:math`, JSON.stringify(packet));
      await put({ id: '1', command: 'add', payload: [1, 2], replyTo: 'me' });
      await put({ id: '2', command: 'fail', payload: 'why', replyTo: 'me' });
      const consumer = newConsumer();
      consumer.on('add', ([a, b]: number[], callback) => callback(null, (a ?? 0) + (b ?? 0)));
      consumer.on('fail', (why, callback) => callback(new Error(why)));
      consumer.on('silent', () => {});
      await put({ id: '3', command: 'silent', replyTo: 'me' });
      await put({ id: '4', command: 'fail', payload: { a: 'reason' }, replyTo: 'me' });
      consumer.removeAllListeners('fail').on('fail', (why, callback) => callback(why));
      await until(() => responses.length === 3);
      assert.deepEqual(responses, [
        '{"id":"1","result":3}',
        '{"id":"2","err":"why"}',
        '{"id":"4","err":{"a":"reason"}}',
      ]);
    });

    it('needs no announcement', async () => {
      const consumer = newConsumer();
      const seen: unknown[] = [];
      consumer.on('add', (payload) => seen.push(payload));
      for (const n of numbers(5)) {
        await redis.lpush(`${namespace}:math`, JSON.stringify({ id: 'x', command: 'add', payload: n }));
        await until(() => seen.length === n + 1);
      }
      assert.deepEqual(seen, numbers(5));
    });

    it('keeps beside what is no request, tells of it, and goes on', async () => {
      const consumer = newConsumer();
      const errors: Error[] = [];
      consumer.on('error', (error) => errors.push(error));
      let done = 0;
      consumer.on('add', () => {
        done += 1;
      });
      await redis.lpush(`${namespace}:math`, 'no JSON', '"text"', 'null', '{"id":"1"}', '{"command":"add"}');
      await until(() => errors.length === 4 && done === 1);
      assert.equal(await redis.xlen(`{${namespace}:math}:dead`), 4);
    });
  });

  it('calls handlers with the payload, where there is one, and a callback', async () => {
    const consumer = newConsumer();
    const calls: unknown[][] = [];
    consumer.on('call', (...args) => {
      calls.push(args.slice(0, -1));
      args.at(-1)(null, calls.length);
    });
    const producer = newProducer();
    const results: unknown[] = [];
    producer.queue('math', 'call', { a: 1 }, (...args) => results.push(args));
    producer.queue('math', 'call', (...args: unknown[]) => results.push(args));
    producer.queue('math', 'call', 0);
    producer.queue('math', 'call');
    await until(() => calls.length === 4 && results.length === 2);
    assert.deepEqual(calls, [[{ a: 1 }], [], [0], []]);
    assert.deepEqual(results, [
      [undefined, 1],
      [undefined, 2],
    ]);
  });

  it("emits 'success' or 'failure' behind the callback", async () => {
    const consumer = newConsumer();
    consumer.on('add', (n, callback) => callback(n < 0 ? 'negative' : null, n + 1));
    const producer = newProducer();
    const told: unknown[] = [];
    for (const event of ['success', 'failure']) producer.on(event, ({ id, ...more }) => told.push([event, more]));
    for (const n of [1, -1]) {
      producer.queue('math', 'add', n, (err, result) => told.push([err, result]));
      await until(() => told.length % 2 === 0 && told.length > 0 && (n === 1 || told.length === 4));
    }
    assert.deepEqual(told, [
      [undefined, 2],
      ['success', { result: 2 }],
      ['negative', 0],
      ['failure', { err: 'negative', result: 0 }],
    ]);
  });

  describe('a handler that fails', () => {
    it('is what the requester is told, and the consumer goes on', async () => {
      const consumer = newConsumer();
      consumer.on('throw', () => {
        throw new Error('thrown');
      });
      consumer.on('reject', async () => {
        throw new Error('rejected');
      });
      consumer.on('bigint', (callback) => callback(null, 1n));
      consumer.on('fine', (callback) => callback(null, 'fine'));
      const producer = newProducer();
      const failure = async (command: string): Promise<unknown> => ask(producer, command).catch((err) => err);
      assert.equal(await failure('throw'), 'thrown');
      assert.equal(await failure('reject'), 'rejected');
      assert.match(String(await failure('bigint')), /BigInt/);
      assert.equal(await ask(producer, 'fine'), 'fine');
    });

    it('has its request kept beside, where nobody waits for it', async () => {
      const consumer = newConsumer();
      consumer.on('throw', () => {
        throw new Error('thrown');
      });
      const told = once(consumer, 'error');
      newProducer().queue('math', 'throw', 'payload');
      const [error] = await told;
      assert.equal(error.message, 'thrown');
      const [[, fields] = []] = (await redis.xrange(`{${namespace}:math}:dead`, '-', '+')) as [string, string[]][];
      assert.match(String(fields), /"payload".*thrown/);
    });
  });

  it('holds a request until a handler that returns a promise is done', async () => {
    const consumer = newConsumer();
    let finish: (() => void) | undefined;
    consumer.on('slow', async (callback) => {
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
      callback(null, 'done');
    });
    const asked = ask(newProducer(), 'slow');
    await until(() => finish !== undefined);
    assert.equal(await held(), 1);
    finish?.();
    assert.equal(await asked, 'done');
    await until(async () => (await held()) === 0);
  });

  describe('a request that nobody handles', () => {
    it('is kept until somebody does', async () => {
      const consumer = newConsumer();
      const asked = ask(newProducer(), 'add', 1);
      await until(async () => (await held()) === 1);
      consumer.on('add', (n, callback) => callback(null, n + 1));
      assert.equal(await asked, 2);
    });

    it('is handed to another consumer, though the first goes on to wait for more', async () => {
      for (const _ of numbers(3)) newConsumer().on('subtract', () => {});
      const asked = ask(newProducer(), 'add', 1);
      await until(async () => (await held()) === 1);
      newConsumer().on('add', (n, callback) => callback(null, n + 1));
      assert.equal(await asked, 2);
    });

    it('goes back as it was, and is announced', async () => {
      const announced = await listen(`${namespace}:math:request`);
      const consumer = newConsumer();
      const packet = { id: '1', command: 'add', payload: 1, replyTo: 'me' };
      await redis.lpush(`${namespace}:math`, JSON.stringify(packet));
      await until(async () => (await held()) === 1);
      consumer.end();
      await until(() => announced.length === 1);
      assert.deepEqual(await pop(), packet);
    });
  });

  it('goes on when connections are killed: neither end goes deaf', async () => {
    const consumer = newConsumer();
    consumer.on('add', (n, callback) => callback(null, n + 1));
    const producer = newProducer();
    for (const n of numbers(5)) {
      assert.equal(await ask(producer, 'add', n), n + 1);
      const killed = await killOthers(redis);
      assert.ok(killed > 0);
      await until(async () => ((await redis.pubsub('CHANNELS', `${namespace}:response:*`)) as string[]).length === 1);
    }
    assert.equal(await ask(producer, 'add', 9), 10);
  });

  it('hears the responses that were published while its connection was broken', async () => {
    await using proxy = await TcpProxy.start(server.port);
    configure({ host: '127.0.0.1', port: Number(new URL(proxy.url).port), namespace });
    const producer = newProducer();
    const events: unknown[] = [];
    producer.on('success', ({ result }) => events.push(result));
    const asked = numbers(10).map((n) => ask(producer, 'add', n));
    await until(async () => (await redis.llen(`${namespace}:math`)) === 10);
    proxy.silence(true);
    configure({ host: '127.0.0.1', port: server.port, namespace });
    const consumer = newConsumer();
    consumer.on('add', (n, callback) => callback(null, n + 1));
    const keys = `${namespace}:response:*`;
    await until(async () => (await redis.keys(keys)).length === 10);
    proxy.silence(false);
    proxy.reset();
    const sums = numbers(10).map((n) => n + 1);
    assert.deepEqual(await Promise.all(asked), sums);
    assert.deepEqual(
      events.toSorted((a, b) => Number(a) - Number(b)),
      sums,
    );
    await until(async () => (await redis.keys(keys)).length === 0);
    producer.end();
    await until(() => proxy.size === 0);
  });

  it('stores with end() what was queued, and gets the responses', async () => {
    const producer = createProducer();
    const asked = numbers(100).map((n) => ask(producer, 'add', n));
    producer.end();
    producer.end();
    assert.throws(() => producer.queue('math', 'add', 1), { code: 'ERR_MILLRACE_CLOSED' });
    await until(async () => (await redis.llen(`${namespace}:math`)) === 100);
    const consumer = createConsumer('math');
    consumer.on('add', (n, callback) => callback(null, n + 1));
    assert.deepEqual(
      await Promise.all(asked),
      numbers(100).map((n) => n + 1),
    );
    consumer.end();
    await until(async () => ((await redis.pubsub('CHANNELS', `${namespace}:*`)) as string[]).length === 0);
  });

  it("tells of a request that can't be queued: its callback, or by 'error'", async () => {
    const producer = newProducer();
    await assert.rejects(ask(producer, 'add', 1n), { code: 'ERR_MILLRACE_INVALID_ITEM' });
    const told = once(producer, 'error');
    producer.queue('math', 'add', 1n);
    const [error] = await told;
    assert.equal(error.code, 'ERR_MILLRACE_INVALID_ITEM');
    await redis.set(`${namespace}:text`, 'a text');
    const refused = await new Promise((resolve) => producer.queue('text', 'add', resolve));
    assert.equal((refused as { code?: string }).code, 'ERR_MILLRACE_REFUSED');
    await redis.del(`${namespace}:text`);
    producer.queue('text', 'add');
    await until(async () => (await redis.llen(`${namespace}:text`)) === 1);
  });

  it('tells all of a Redis that refuses', async () => {
    await using secret = await RedisServer.start('--requirepass', 'secret');
    configure({ port: secret.port });
    const producer = newProducer();
    const consumer = newConsumer();
    const told = once(consumer, 'error');
    for (const _ of numbers(2)) await assert.rejects(ask(producer, 'add'), { code: 'ERR_MILLRACE_REFUSED' });
    const [error] = await told;
    assert.equal(error.code, 'ERR_MILLRACE_REFUSED');
  });

  it('refuses wrong arguments', () => {
    assert.throws(() => configure({ port: -1 }), { code: 'ERR_OUT_OF_RANGE' });
    assert.throws(() => configure({ colour: 'red' } as never), { code: 'ERR_INVALID_ARG_VALUE' });
    assert.throws(() => configure({ namespace: '' }), { code: 'ERR_INVALID_ARG_VALUE' });
    assert.throws(() => createConsumer('a{b}'), { code: 'ERR_INVALID_ARG_VALUE' });
    assert.throws(() => newProducer().queue('a{b}', 'add'), { code: 'ERR_INVALID_ARG_VALUE' });
  });
});
