import assert from 'node:assert/strict';
import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import { Redis } from 'ioredis';
import { Pull, Push } from '../../lib/compat/pushpull.ts';
import { uniqueQueue } from '../support/brokers.ts';
import { RedisServer } from '../support/redis.ts';
import { closed, numbers, until } from '../support/streams.ts';
import { killOthers } from './support/killing.ts';
import { redis as nodeRedis, pushpull } from './support/originals.ts';

describe('pushpull', () => {
  let server: RedisServer;
  let redis: Redis;
  let queue: string;
  let options: { queue: string; host: string; port: number };
  const ended: { end(): unknown }[] = [];

  before(async () => {
    server = await RedisServer.start();
    redis = server.client();
  });
  after(() => server[Symbol.asyncDispose]());
  beforeEach(() => {
    queue = uniqueQueue();
    options = { queue, host: '127.0.0.1', port: server.port };
  });
  afterEach(async () => {
    for (const one of ended.splice(0)) one.end();
  });

  /** Ends one of ours behind the test. */
  function ours<Stream extends { end(): unknown }>(stream: Stream): Stream {
    ended.push(stream);
    return stream;
  }

  /** Of the originals only the client is ended: they would tell a stream that has ended of its end. */
  function theirs<Stream extends { _redisClient: { end(flush: boolean): void } }>(stream: Stream): Stream {
    ended.push({ end: () => stream._redisClient.end(false) });
    return stream;
  }

  function collect(stream: NodeJS.EventEmitter): unknown[] {
    const values: unknown[] = [];
    stream.on('data', (value) => values.push(value));
    return values;
  }

  async function items(): Promise<string[]> {
    return await redis.lrange(queue, 0, -1);
  }

  const JOBS = [{ some: 'data' }, 'text', 42, ['a', 1], false, ...numbers(100)];

  describe('on the wire', () => {
    it('appends bare JSON to the right, and takes from the left', async () => {
      const push = ours(new Push(options));
      for (const job of JOBS) push.write(job);
      await until(async () => (await items()).length === JOBS.length);
      assert.deepEqual(
        await items(),
        JOBS.map((job) => JSON.stringify(job)),
      );
      const pulled = collect(ours(new Pull(options)));
      await until(() => pulled.length === JOBS.length);
      assert.deepEqual(pulled, JOBS);
      assert.deepEqual(await items(), []);
    });

    it('pulls what the original pushes', async () => {
      const push = theirs(new pushpull.Push(options));
      for (const job of JOBS) push.write(job);
      const pulled = collect(ours(new Pull(options)));
      await until(() => pulled.length === JOBS.length);
      assert.deepEqual(pulled, JOBS);
    });

    it('pushes what the original pulls', async () => {
      const pulled = collect(theirs(new pushpull.Pull(options)));
      const push = ours(new Push(options));
      for (const job of JOBS) push.write(job);
      await until(() => pulled.length === JOBS.length);
      assert.deepEqual(pulled, JOBS);
    });

    it('shares a queue with the original', async () => {
      const pulled = [collect(ours(new Pull(options))), collect(theirs(new pushpull.Pull(options)))];
      const push = [ours(new Push(options)), theirs(new pushpull.Push(options))];
      for (const n of numbers(200)) push[n % 2]?.write(n);
      await until(() => pulled.flat().length === 200);
      assert.deepEqual(new Set(pulled.flat()), new Set(numbers(200)));
    });
  });

  describe('Push', () => {
    it("emits 'pushed' with each job, then calls back", async () => {
      const push = ours(new Push(options));
      const told: string[] = [];
      push.on('pushed', (job) => told.push(`pushed ${job}`));
      push.write('a', (error) => told.push(`called back ${error ?? 'a'}`));
      await until(() => told.length === 2);
      push.write('b', (error) => told.push(`called back ${error ?? 'b'}`));
      await until(() => told.length === 4);
      assert.deepEqual(told, ['pushed a', 'called back a', 'pushed b', 'called back b']);
    });

    it("takes emit('data') for a write", async () => {
      const push = ours(new Push(options));
      push.emit('data', { some: 'data' });
      await once(push, 'pushed');
      assert.deepEqual(await items(), ['{"some":"data"}']);
    });

    it('stores all that was written before end()', async () => {
      const push = new Push(options);
      for (const n of numbers(100)) push.write(n);
      push.end();
      await once(push, 'close');
      assert.equal(await redis.llen(queue), 100);
    });

    it('goes on when its connection is killed: each job is there once', async () => {
      const push = ours(new Push(options));
      await once(push, 'ready');
      for (const n of numbers(300)) {
        push.write(n);
        if (n % 100 === 50) await until(async () => (await killOthers(redis)) > 0);
      }
      push.end();
      await once(push, 'close');
      assert.deepEqual((await items()).map(Number), numbers(300));
    });

    for (const event of ['invalid', 'error']) {
      it(`tells of a job that JSON can't say by '${event}', and goes on`, async () => {
        const push = ours(new Push(options));
        const circular: { self?: object } = {};
        circular.self = circular;
        push.write(1);
        const called = new Promise((resolve) => push.write(circular, resolve));
        push.write(2);
        const [error] = await once(push, event);
        assert.equal(error.code, 'ERR_MILLRACE_INVALID_ITEM');
        assert.equal(error.item, circular);
        assert.equal(await called, error);
        push.end();
        await once(push, 'finish');
        assert.deepEqual(await items(), ['1', '2']);
      });
    }

    it('warns of such a job where nobody listens', async () => {
      const push = ours(new Push(options));
      push.write(() => {});
      const warned = once(process, 'warning');
      push.write(2);
      const [warning] = await warned;
      assert.equal(warning.code, 'MILLRACE_UNHEARD');
      assert.match(warning.message, /type function has no JSON/);
    });

    it('is the end of a pipeline', async () => {
      await pipeline(numbers(1000), new Push(options));
      assert.deepEqual((await items()).map(Number), numbers(1000));
    });
  });

  describe('Pull', () => {
    it('holds one job at most while it is paused, and goes on with it', async () => {
      const pull = ours(new Pull(options));
      const pulled = collect(pull);
      await once(pull, 'ready');
      pull.once('data', () => pull.pause());
      await redis.rpush(queue, ...numbers(20).map(String));
      await until(() => pulled.length === 1);
      // As long as it would take to see it pop more.
      await redis.rpush(queue, '20');
      await redis.ping();
      assert.ok((await redis.llen(queue)) >= 19);
      assert.deepEqual(pulled, [0]);
      pull.resume();
      await until(() => pulled.length === 21);
      assert.deepEqual(pulled, numbers(21));
    });

    for (const event of ['invalid', 'error']) {
      it(`tells of an item that is no JSON by '${event}', keeps it beside, and goes on`, async () => {
        await redis.rpush(queue, '1', 'no JSON', 'null', '2');
        const pull = ours(new Pull(options));
        const errors: { item?: unknown }[] = [];
        pull.on(event, (error) => errors.push(error));
        const pulled = collect(pull);
        await until(() => pulled.length === 2 && errors.length === 2);
        assert.deepEqual(pulled, [1, 2]);
        assert.deepEqual(
          errors.map(({ item }) => String(item)),
          ['no JSON', 'null'],
        );
        assert.equal(await redis.xlen(`{${queue}}:dead`), 2);
        assert.ok(!pull.destroyed);
      });
    }

    it('goes on when its connection is killed', async () => {
      const pull = ours(new Pull(options));
      const pulled = collect(pull);
      for (const n of numbers(5)) {
        await redis.rpush(queue, String(n));
        await until(() => pulled.length === n + 1);
        // It waits for the next.
        await until(async () => /cmd=blmpop/.test(String(await redis.client('LIST'))));
        await until(async () => (await killOthers(redis)) > 0);
      }
      assert.deepEqual(pulled, numbers(5));
    });

    it("ends with end(): what it has flows on, and 'end' comes", async () => {
      const pull = new Pull(options);
      const pulled = collect(pull);
      await redis.rpush(queue, '1');
      await until(() => pulled.length === 1);
      const end = once(pull, 'end');
      pull.end();
      await end;
      await closed(pull);
    });

    it('gives back with end() what nobody has read', async () => {
      await redis.rpush(queue, '1', '2');
      const pull = new Pull(options);
      pull.pause();
      pull.on('readable', () => {});
      await until(() => pull.readableLength === 1);
      pull.removeAllListeners('readable');
      pull.end();
      await closed(pull);
      assert.deepEqual(await items(), ['1', '2']);
    });
  });

  describe('finds Redis', () => {
    /** What is stored, and where, by a Push with options. */
    async function stored(more: object): Promise<(database: number) => Promise<string[]>> {
      const push = new Push({ queue, ...more });
      push.write(1);
      push.end();
      await once(push, 'close');
      return (database) => server.client({ db: database }).lrange(queue, 0, -1);
    }

    it('by host, port and database', async () => {
      const at = await stored({ host: 'localhost', port: server.port, database: 3 });
      assert.deepEqual(await at(0), []);
      assert.deepEqual(await at(3), ['1']);
    });

    it('by a URL', async () => {
      const at = await stored({ connection: `${server.url}/2` });
      assert.deepEqual(await at(2), ['1']);
    });

    it('by an ioredis client, which it closes', async () => {
      const client = new Redis({ port: server.port, db: 4, lazyConnect: true });
      await client.connect();
      const end = once(client, 'end');
      const at = await stored({ client });
      await end;
      assert.deepEqual(await at(4), ['1']);
    });

    it('by a client of node_redis, which it closes', async () => {
      await using secret = await RedisServer.start('--requirepass', 's/e:c@ret');
      const client = nodeRedis.createClient(secret.port, '127.0.0.1', { password: 's/e:c@ret', db: 5 });
      client.on('error', () => {});
      await stored({ client });
      assert.deepEqual(await secret.client({ password: 's/e:c@ret', db: 5 }).lrange(queue, 0, -1), ['1']);
      await until(() => !client.connected);
    });

    it('by a client and another database', async () => {
      const client = new Redis({ port: server.port, db: 4, lazyConnect: true });
      assert.deepEqual(await (await stored({ client, database: 7 }))(7), ['1']);
      const older = nodeRedis.createClient(server.port, '127.0.0.1');
      older.on('error', () => {});
      assert.deepEqual(await (await stored({ client: older, database: 8 }))(8), ['1']);
    });

    it('where the environment says, when nothing else does', async () => {
      process.env['MILLRACE_URL'] = `${server.url}/6`;
      try {
        const at = await stored({});
        assert.deepEqual(await at(6), ['1']);
      } finally {
        delete process.env['MILLRACE_URL'];
      }
    });
  });

  it('refuses wrong options', () => {
    for (const Stream of [Push, Pull]) {
      const make = (more: object) => () => new Stream({ queue, ...more });
      assert.throws(() => new Stream({} as never), { code: 'ERR_INVALID_ARG_TYPE' });
      assert.throws(() => new (Stream as unknown as new () => Push)(), { code: 'ERR_INVALID_ARG_TYPE' });
      assert.throws(make({ queue: 'a{b}' }), { code: 'ERR_INVALID_ARG_VALUE' });
      assert.throws(make({ port: '6379' }), { code: 'ERR_INVALID_ARG_TYPE' });
      assert.throws(make({ port: 0 }), { code: 'ERR_OUT_OF_RANGE' });
      assert.throws(make({ host: '' }), { code: 'ERR_INVALID_ARG_VALUE' });
      assert.throws(make({ client: {} }), { code: 'ERR_INVALID_ARG_TYPE' });
      assert.throws(make({ colour: 'red' }), { code: 'ERR_INVALID_ARG_VALUE' });
    }
  });
});
