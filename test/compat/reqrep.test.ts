import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Redis } from 'ioredis';
import { Reply, Request, type RequestReplyOptions } from '../../lib/compat/reqrep.ts';
import { uniqueQueue } from '../support/brokers.ts';
import { RedisServer } from '../support/redis.ts';
import { numbers, until } from '../support/streams.ts';
import { killOthers } from './support/killing.ts';

type OnJob = NonNullable<RequestReplyOptions['onJob']>;

describe('reqrep', () => {
  let server: RedisServer;
  let redis: Redis;
  let queue: string;
  let options: RequestReplyOptions;
  const ended: { end(): void }[] = [];

  before(async () => {
    server = await RedisServer.start();
    redis = server.client();
  });
  after(() => server[Symbol.asyncDispose]());
  beforeEach(() => {
    queue = uniqueQueue();
    options = { queue, host: '127.0.0.1', port: server.port };
  });
  afterEach(() => {
    for (const one of ended.splice(0)) one.end();
  });

  function request(): Request {
    const made = new Request(options);
    ended.push(made);
    return made;
  }

  function reply(onJob: OnJob): Reply {
    const made = new Reply({ ...options, onJob });
    ended.push(made);
    return made;
  }

  /** What a job is answered with. */
  function ask(sender: Request, job: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      sender.send(job, (error, result) => (error ? reject(error) : resolve(result)));
    });
  }

  /** The next job, as a program takes it that knows nothing but Redis. */
  async function nextJob(): Promise<[id: string, data: unknown]> {
    const [, text] = (await server.client().blpop(`${queue}requests`, 0)) as [string, string];
    return JSON.parse(text);
  }

  /** Puts a job into the queue as such a program does, and gives what it is answered with. */
  async function askBare(id: string, data: unknown): Promise<string> {
    await redis.rpush(`${queue}requests`, JSON.stringify([id, data]));
    const [, text] = (await server.client().blpop(`${queue}replies:${id}`, 0)) as [string, string];
    return text;
  }

  describe('Request, on the wire', () => {
    it('appends [id, job] to <queue>requests, and takes the result from <queue>replies:<id>', async () => {
      const sender = request();
      const asked = [ask(sender, { some: 'data' }), ask(sender, null), ask(sender, 'text')];
      for (const [n, expected] of [{ some: 'data' }, null, 'text'].entries()) {
        const [id, data, ...more] = await nextJob();
        assert.match(id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
        assert.deepEqual([data, more], [expected, []]);
        await redis.rpush(`${queue}replies:${id}`, JSON.stringify({ n }));
      }
      assert.deepEqual(await Promise.all(asked), [{ n: 0 }, { n: 1 }, { n: 2 }]);
      assert.deepEqual(await redis.keys(`${queue}*`), []);
    });

    it('takes null, and a reply that was there before it waited', async () => {
      const sender = request();
      const stop = new AbortController();
      const answering = (async () => {
        while (!stop.signal.aborted) {
          const job = await redis.lpop(`${queue}requests`);
          if (job) await redis.rpush(`${queue}replies:${JSON.parse(job)[0]}`, 'null');
        }
      })();
      for (const n of numbers(50)) assert.equal(await ask(sender, n), null);
      stop.abort();
      await answering;
    });

    it('says so when a reply is no JSON', async () => {
      const asked = ask(request(), 1);
      const failed = assert.rejects(asked, { code: 'ERR_MILLRACE_INVALID_ITEM', item: 'no JSON' });
      const [id] = await nextJob();
      await redis.rpush(`${queue}replies:${id}`, 'no JSON');
      await failed;
    });
  });

  describe('Reply, on the wire', () => {
    it('takes [id, job] from the left, and appends the result to the list of that id, for a while', async () => {
      reply((data, callback) => callback(null, { double: data.value * 2 }));
      const texts = await Promise.all(numbers(10).map((n) => askBare(`id ${n}`, { value: n })));
      assert.deepEqual(
        texts.map((text) => JSON.parse(text)),
        numbers(10).map((n) => ({ double: n * 2 })),
      );
      await redis.rpush(`${queue}requests`, '["nobody waits", {"value": 1}]');
      await until(async () => (await redis.pttl(`${queue}replies:nobody waits`)) > 0);
    });

    it('calls onJob with the data, the callback and the id, in the order of the queue', async () => {
      const calls: unknown[] = [];
      await redis.rpush(`${queue}requests`, '["a",1]', '["b",[2]]', '["c",null]');
      const worker: Reply = reply(function (this: Reply, data, callback, id) {
        calls.push([this === worker, data, id]);
        callback(null);
      });
      await until(() => calls.length === 3);
      assert.deepEqual(calls, [
        [true, 1, 'a'],
        [true, [2], 'b'],
        [true, null, 'c'],
      ]);
      assert.equal((await server.client().blpop(`${queue}replies:c`, 0))?.[1], 'null');
    });

    it('keeps beside what is no job, tells of it, and goes on', async () => {
      const worker = reply((data, callback) => callback(null, data));
      const errors: Error[] = [];
      worker.on('error', (error) => errors.push(error));
      await redis.rpush(`${queue}requests`, 'no JSON', '{"id":1}', '[1,2]', '"text"', '[]');
      assert.equal(await askBare('good', 7), '7');
      await until(() => errors.length === 5);
      assert.equal(await redis.xlen(`{${queue}requests}:dead`), 5);
    });
  });

  it('sends each of many replies that come in one tick to its requester', async () => {
    const waiting: (() => void)[] = [];
    reply((data, callback) => waiting.push(() => callback(null, data)));
    const [one, other] = [request(), request()];
    const asked = numbers(100).map((n) => ask(n % 2 ? one : other, n));
    await until(() => waiting.length === 100);
    for (const answer of waiting.reverse()) answer();
    assert.deepEqual(await Promise.all(asked), numbers(100));
  });

  it('waits for 1,000 replies with few connections', async () => {
    const sender = request();
    const asked = numbers(1000).map((n) => ask(sender, n));
    await until(async () => (await redis.llen(`${queue}requests`)) === 1000);
    const clients = String(await redis.client('LIST'))
      .trim()
      .split('\n');
    assert.ok(clients.length < 30, `${clients.length} clients`);
    reply((data, callback) => setImmediate(callback, null, data));
    assert.deepEqual(await Promise.all(asked), numbers(1000));
  });

  it('calls onPushed with the job when it is stored, then onReply', async () => {
    reply((_data, callback) => callback(null, 'result'));
    const told: unknown[] = [];
    const sender = request();
    await new Promise<void>((resolve) => {
      const onReply = (...args: unknown[]): void => {
        told.push(['reply', ...args]);
        resolve();
      };
      sender.send({ a: 1 }, onReply, (...args) => told.push(['pushed', ...args]));
    });
    assert.deepEqual(told, [
      ['pushed', null, { a: 1 }],
      ['reply', null, 'result'],
    ]);
  });

  it('needs no callbacks', async () => {
    const seen: unknown[] = [];
    reply((data, callback) => callback(null, seen.push(data)));
    request().send('a job');
    await until(() => seen.length === 1);
    await until(async () => (await redis.keys(`${queue}*`)).length === 0);
  });

  describe('tells the requester, and goes on, when a handler', () => {
    const failures: Record<string, OnJob> = {
      throws: () => {
        throw Object.assign(new RangeError('on purpose'), { code: 'E_PURPOSE' });
      },
      rejects: async () => {
        throw Object.assign(new RangeError('on purpose'), { code: 'E_PURPOSE' });
      },
      'calls back with an error': (_data, callback) => {
        callback(Object.assign(new RangeError('on purpose'), { code: 'E_PURPOSE' }));
      },
    };
    for (const [what, fail] of Object.entries(failures)) {
      it(what, async () => {
        const worker = reply(function (data, callback, id) {
          return data === 'fail' ? fail.call(this, data, callback, id) : callback(null, data);
        });
        const sender = request();
        const remote = { name: 'RangeError', message: 'on purpose', code: 'E_PURPOSE' };
        await assert.rejects(ask(sender, 'fail'), { code: 'ERR_MILLRACE_REMOTE', message: 'on purpose', remote });
        const told = once(worker, 'error');
        await assert.rejects(ask(sender, 'fail'), { remote });
        const [error] = await told;
        assert.equal(error.message, 'on purpose');
        assert.equal(await ask(sender, 'fine'), 'fine');
      });
    }

    it('gives what JSON cannot say', async () => {
      reply((data, callback) => callback(null, data === 'fail' ? 1n : data));
      const sender = request();
      await assert.rejects(ask(sender, 'fail'), { code: 'ERR_MILLRACE_REMOTE', message: /BigInt/ });
      assert.equal(await ask(sender, 'fine'), 'fine');
    });
  });

  it('takes the first of what a handler says', async () => {
    reply((data, callback) => {
      callback(null, data);
      callback(null, 'again');
      throw new Error('late');
    });
    const sender = request();
    for (const n of numbers(10)) assert.equal(await ask(sender, n), n);
    assert.deepEqual(await redis.keys(`${queue}*`), []);
  });

  it('never takes an error for a result, of whatever shape that is', async () => {
    reply((data, callback) => callback(null, data));
    const lookalike = { name: 'Error', message: 'fine' };
    assert.deepEqual(await ask(request(), lookalike), lookalike);
  });

  it("tells of a job that can't be sent: its callbacks, or by 'error'", async () => {
    const sender = request();
    const invalid = { code: 'ERR_MILLRACE_INVALID_ITEM' };
    await assert.rejects(ask(sender, 1n), invalid);
    const pushed = await new Promise<Error | null>((resolve) => sender.send(1n, undefined, resolve));
    assert.equal((pushed as { code?: string } | null)?.code, invalid.code);
    const told = once(sender, 'error');
    sender.send(1n);
    const [error] = await told;
    assert.equal(error.code, invalid.code);
    reply((data, callback) => callback(null, data));
    assert.equal(await ask(sender, 'fine'), 'fine');
  });

  it('goes on when connections are killed, at both ends', async () => {
    const sender = request();
    reply((data, callback) => setImmediate(callback, null, data));
    for (const n of numbers(5)) {
      assert.equal(await ask(sender, n), n);
      await until(async () => (await killOthers(redis)) > 0);
    }
    // And while replies are waited for.
    const asked = ['a', 'b', 'c'].map((job) => ask(sender, job));
    await until(async () => /cmd=blmpop/.test(String(await redis.client('LIST'))));
    assert.deepEqual(await Promise.all(asked), ['a', 'b', 'c']);
  });

  it('gets its reply though its connections are killed while it waits', async () => {
    const sender = request();
    const asked = ask(sender, 'job');
    const [id] = await nextJob();
    for (const _ of numbers(3)) {
      await until(async () => /cmd=blmpop/.test(String(await redis.client('LIST'))));
      await until(async () => (await killOthers(redis)) > 0);
    }
    await redis.rpush(`${queue}replies:${id}`, '"late"');
    assert.equal(await asked, 'late');
  });

  it('stores with end() what was sent, gets the replies, and answers what it has', async () => {
    const sender = new Request(options);
    const asked = numbers(100).map((n) => ask(sender, n));
    sender.end();
    const waiting: (() => void)[] = [];
    const worker = new Reply({ ...options, onJob: (data, callback) => waiting.push(() => callback(null, data)) });
    await until(() => waiting.length === 100);
    worker.end();
    for (const answer of waiting) answer();
    assert.deepEqual(await Promise.all(asked), numbers(100));
    await assert.rejects(ask(sender, 'late'), { code: 'ERR_MILLRACE_CLOSED' });
  });

  it("tells of what will not heal by 'error'", async () => {
    await redis.set(`${queue}requests`, 'a text');
    const sender = request();
    const worker = reply(() => {});
    const told = Promise.all([once(sender, 'error'), once(worker, 'error')]);
    await assert.rejects(ask(sender, 1), { code: 'ERR_MILLRACE_REFUSED' });
    for (const [error] of await told) assert.equal(error.code, 'ERR_MILLRACE_REFUSED');
  });

  it('refuses wrong options', () => {
    assert.throws(() => new Request({} as never), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(() => new Reply(options), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(() => new Reply({ ...options, onJob: 'work' as never }), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(() => new Request({ ...options, colour: 'red' } as never), { code: 'ERR_INVALID_ARG_VALUE' });
    assert.throws(() => new Request({ queue, connection: 'memory:' }), { code: 'ERR_MILLRACE_NOT_SUPPORTED' });
    assert.throws(() => new Request({ queue, connection: 'http://localhost' }), { code: 'ERR_INVALID_ARG_VALUE' });
  });
});
