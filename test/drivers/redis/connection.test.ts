import assert from 'node:assert/strict';
import { getEventListeners, once, setMaxListeners } from 'node:events';
import { createServer } from 'node:net';
import { Redis } from 'ioredis';
import { connect, PullStream, PushStream } from '../../../lib/index.ts';
import { uniqueQueue } from '../../support/brokers.ts';
import { RedisServer, TEST_CLIENT } from '../../support/redis.ts';
import { closed, drain, numbers, push, readAhead, take, until } from '../../support/streams.ts';

describe('a connection (redis)', () => {
  let server: RedisServer;
  let queue: string;
  before(async () => {
    server = await RedisServer.start();
  });
  after(() => server[Symbol.asyncDispose]());
  beforeEach(() => {
    queue = uniqueQueue();
  });

  /** How many clients the server sees, beside the test's own. */
  async function clientsSeen(): Promise<number> {
    const list = (await server.client().client('LIST')) as string;
    return list
      .trim()
      .split('\n')
      .filter((line) => !line.includes(` name=${TEST_CLIENT} `)).length;
  }

  it('opens one client for commands, and one for each stream that waits', async () => {
    const connection = connect(server.url);
    assert.deepEqual(connection.stats(), { clients: 0, waiting: 0, strayReplies: 0 });
    const streams = numbers(5).map((n) => new PullStream(`${queue}${n}`, { connection }));
    for (const stream of streams) stream.resume();
    await push(connection, `${queue}0`, [1]);
    await until(() => connection.stats().clients === 6);
    for (const stream of streams) stream.pause();
    await connection.close();
    assert.deepEqual(connection.stats(), { clients: 0, waiting: 0, strayReplies: 0 });
    await until(async () => (await clientsSeen()) === 0);
  });

  it('gives a blocking client back while the stream does not wait for items', async () => {
    const connection = connect(server.url);
    const first = new PullStream(queue, { connection });
    first.resume();
    await until(() => connection.stats().clients === 2);
    first.pause();
    const second = new PullStream(`${queue}2`, { connection });
    const data = once(second, 'data');
    await push(connection, `${queue}2`, ['served']);
    assert.deepEqual(await data, ['served']);
    assert.equal(connection.stats().clients, 2);
    await connection.close({ timeout: 200 });
  });

  it('leaves nothing behind of 1,000 streams', async () => {
    const connection = connect(server.url);
    const { signal } = new AbortController();
    setMaxListeners(0, signal);
    const listeners = process.eventNames().map((event) => process.listenerCount(event));
    for (let round = 0; round < 10; round += 1) {
      const streams = numbers(50).flatMap((n) => [
        new PullStream(`${queue}${n}`, { connection, signal }).resume(),
        new PushStream(`${queue}${n}`, { connection, signal }),
      ]);
      await Promise.all(streams.map((stream) => once(stream, 'ready')));
      await Promise.all(streams.map((stream) => stream.close()));
    }
    await until(() => connection.stats().clients <= 1);
    await connection.close();
    await until(async () => (await clientsSeen()) === 0);
    assert.equal(getEventListeners(signal, 'abort').length, 0);
    assert.deepEqual(
      process.eventNames().map((event) => process.listenerCount(event)),
      listeners,
    );
    const handles = process.getActiveResourcesInfo().filter((type) => type === 'TCPSocketWrap');
    assert.ok(handles.length <= server.clients, `${handles.length} sockets are open`);
  });

  it('lets go of a client that waited once, however often nobody uses it', async () => {
    const connection = connect(server.url);
    const warnings: string[] = [];
    const warn = ({ message }: Error): number => warnings.push(message);
    process.on('warning', warn);
    await push(connection, queue, [1]);
    assert.deepEqual(await take(connection, queue, 1), [1]);
    for (const n of numbers(20)) await push(connection, queue, [n]);
    await connection.close();
    process.off('warning', warn);
    assert.deepEqual(warnings, []);
  });

  it('works with the options of an ioredis client, and leaves that one alone', async () => {
    const client = new Redis({ port: server.port, db: 3, lazyConnect: true });
    const connection = connect(client);
    await push(connection, queue, [1]);
    assert.equal(client.status, 'wait');
    assert.equal(await server.client({ db: 3 }).llen(queue), 1);
    assert.deepEqual(await take(connection, queue, 1), [1]);
    await connection.close();
    client.disconnect();
  });

  it('refuses a client with a keyPrefix, and a Cluster', () => {
    const prefixed = new Redis({ lazyConnect: true, keyPrefix: 'p:' });
    assert.throws(() => connect(prefixed), { code: 'ERR_INVALID_ARG_VALUE', message: /keyPrefix.*Received 'p:'/ });
    const cluster = new Redis.Cluster([], { lazyConnect: true });
    assert.throws(() => connect(cluster), { code: 'ERR_MILLRACE_NOT_SUPPORTED' });
  });

  it('puts its prefix before every key', async () => {
    const connection = connect(server.url, { prefix: 'app:' });
    await push(connection, queue, [1]);
    assert.equal(await server.client().llen(`app:${queue}`), 1);
    assert.deepEqual(await take(connection, queue, 1), [1]);
    await connection.close();
  });

  it('keeps the values as they are: any client can push and pop', async () => {
    const connection = connect(server.url);
    await server.client().lpush(queue, '{"a":1}');
    assert.deepEqual(await take(connection, queue, 1), [{ a: 1 }]);
    await push(connection, queue, [{ b: [2] }]);
    assert.equal(await server.client().rpop(queue), '{"b":[2]}');
    await connection.close();
  });

  it('sends what is written at a time in few commands, of at most 1 MiB', async () => {
    const connection = connect(server.url);
    const client = server.client();
    const pushes = async (values: unknown[]): Promise<number> => {
      await client.config('RESETSTAT');
      await push(connection, queue, values);
      return Number(/cmdstat_lpush:calls=(\d+)/.exec(await client.info('commandstats'))?.[1]);
    };
    assert.ok((await pushes(numbers(1024))) <= 12);
    const third = 'x'.repeat(400_000);
    assert.equal(await pushes([third, third, third, third]), 2);
    await connection.close();
  });

  it('shares the connection of a URL among the streams that name it, and lets go of it behind the last', async () => {
    const streams = numbers(5).map((n) => new PushStream(`${queue}${n}`, { connection: server.url }));
    await Promise.all(streams.map((stream) => stream.send(1)));
    assert.equal(await clientsSeen(), 1);
    await Promise.all(streams.map((stream) => stream.close()));
    await until(async () => (await clientsSeen()) === 0);
    const again = new PushStream(queue, { connection: server.url });
    await again.send(1);
    await again.close();
  });

  it('refuses new streams when it is closed, and ready', async () => {
    const connection = connect(server.url);
    await connection.ready;
    await connection.close();
    await connection.close();
    assert.throws(() => new PushStream(queue, { connection }), { code: 'ERR_MILLRACE_CLOSED' });
    await assert.rejects(connection.ready, { code: 'ERR_MILLRACE_CLOSED' });
  });

  describe('with maxClients', () => {
    it('lets more streams than that wait in turns, warns, and says so in stats()', async () => {
      const connection = connect(server.url, { maxClients: 2 });
      const warned = once(process, 'warning');
      const counts = new Map<number, number>();
      const streams = numbers(10).map((n) => {
        const stream = new PullStream(`${queue}${n}`, { connection, highWaterMark: 1 });
        stream.on('data', () => counts.set(n, (counts.get(n) ?? 0) + 1));
        return stream;
      });
      const [warning] = await warned;
      assert.equal(warning.code, 'MILLRACE_MAX_CLIENTS');
      await until(() => connection.stats().waiting >= 8);
      assert.ok(connection.stats().clients <= 3);
      for (let round = 1; round <= 3; round += 1) {
        for (const n of numbers(10)) await push(connection, `${queue}${n}`, [round]);
        await until(() => counts.size === 10 && [...counts.values()].every((count) => count === round));
      }
      for (const stream of streams) stream.destroy();
      await Promise.all(streams.map(closed));
      await until(() => connection.stats().waiting === 0);
      await connection.close();
    });
  });

  describe('fails its streams with what will not heal', () => {
    const cases: Record<
      string,
      { args: string[]; prepare?: (client: Redis) => Promise<unknown>; user?: string; message: RegExp }
    > = {
      'a key of another type': { args: [], prepare: (client) => client.set(queue, 'text'), message: /WRONGTYPE/ },
      'a wrong password': { args: ['--requirepass', 'secret'], user: ':wrong@', message: /WRONGPASS/ },
      'no password': { args: ['--requirepass', 'secret'], message: /NOAUTH/ },
      'a command that is not allowed': {
        args: ['--user', 'limited', 'on', '>pw', '~*', '&*', '+@all', '-lpush', '-blmpop', '-lmpop'],
        user: 'limited:pw@',
        message: /no permissions to run|can't run this command/,
      },
      'a database that is not there': { args: ['--databases', '1'], message: /DB index is out of range/ },
    };

    for (const [name, { args, prepare, user = '', message }] of Object.entries(cases)) {
      it(`as ${name}`, async () => {
        await using own = await RedisServer.start(...args);
        await prepare?.(own.client());
        const db = name.includes('database') ? '/7' : '';
        const connection = connect(own.url.replace('//', `//${user}`) + db);
        const error = { code: 'ERR_MILLRACE_REFUSED', message, retryable: false };
        const pull = new PullStream(queue, { connection });
        const pulled = assert.rejects(once(pull, 'data'), error);
        const push = new PushStream(queue, { connection });
        const failed = assert.rejects(once(push, 'finish'), error);
        const written = new Promise<unknown>((resolve) => push.write(1, resolve));
        await Promise.all([pulled, failed]);
        assert.ok((await written) instanceof Error);
        if (name.includes('password') || db) await assert.rejects(connection.ready, error);
        await connection.close();
      });
    }

    it('as a server that is too old', async () => {
      // Speaks as Redis 6.2 does, as far as it is asked: the package's own minimum is what is tested, not that server.
      const old = createServer((socket) => {
        socket.on('error', () => {});
        socket.on('data', (bytes) => {
          const commands = bytes.toString().match(/^\*\d+\r$/gm)?.length ?? 0;
          const info = 'redis_version:6.2.14\r\nloading:0\r\n';
          const answer = bytes.includes('info') ? `$${info.length}\r\n${info}\r\n` : '+OK\r\n';
          socket.write(answer.repeat(commands));
        });
      }).listen(0, '127.0.0.1');
      await once(old, 'listening');
      const connection = connect(`redis://127.0.0.1:${(old.address() as { port: number }).port}`);
      const error = { code: 'ERR_MILLRACE_NOT_SUPPORTED', message: /7\.0 or later.*redis_version:6\.2\.14/ };
      await assert.rejects(connection.ready, error);
      await assert.rejects(once(new PullStream(queue, { connection }), 'data'), error);
      await connection.close();
      old.close();
    });
  });

  it('fails all that is on its way when Redis refuses', async () => {
    const connection = connect(server.url);
    await server.client().set(queue, 'text');
    const stream = new PushStream(queue, { connection });
    stream.on('error', () => {});
    const sent = await Promise.allSettled(numbers(1000).map((n) => stream.send(n)));
    for (const one of sent) assert.equal((one as PromiseRejectedResult).reason?.code, 'ERR_MILLRACE_REFUSED');
    await connection.close();
  });

  /** Pushes until Redis refuses. */
  async function fill(client: Redis, filler: string): Promise<void> {
    while (await client.lpush('filler', filler).catch(() => 0));
  }

  it('waits while Redis is full, and goes on when there is room', async () => {
    await using own = await RedisServer.start('--maxmemory', '3mb', '--maxmemory-policy', 'noeviction');
    const connection = connect(own.url);
    const stream = new PushStream(queue, { connection, highWaterMark: 4 });
    const client = own.client();
    const filler = 'x'.repeat(100_000);
    await fill(client, filler);
    const sent = stream.send('waits');
    await client.ping();
    await client.del('filler');
    await sent;
    await stream.close();
    assert.deepEqual(await drain(connection, queue), ['waits']);
    await connection.close();
  });

  it('gives back even to a Redis that is full', async () => {
    await using own = await RedisServer.start('--maxmemory', '3mb', '--maxmemory-policy', 'noeviction');
    const connection = connect(own.url);
    await push(connection, queue, numbers(200));
    const stream = new PullStream(queue, { connection, highWaterMark: 8 });
    const taken = await readAhead(stream, 4);
    const client = own.client();
    const filler = 'x'.repeat(10_000);
    await fill(client, filler);
    stream.destroy();
    await closed(stream);
    assert.equal(stream.errored, null);
    await client.del('filler');
    assert.deepEqual([...taken, ...(await drain(connection, queue))], numbers(200));
    await connection.close();
  });

  it('warns of a Redis that may throw queues away', async () => {
    await using own = await RedisServer.start('--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru');
    const connection = connect(own.url);
    const warned = once(process, 'warning');
    await connection.ready;
    assert.equal((await warned)[0].code, 'MILLRACE_EVICTION');
    await connection.close();
  });

  it('is closed without a stray error while a blocking client opens', async () => {
    const unhandled: unknown[] = [];
    const record = (reason: unknown): unknown => unhandled.push(reason);
    process.on('unhandledRejection', record);
    for (let ticks = 0; ticks < 40; ticks += 1) {
      const connection = connect(server.url);
      const stream = new PullStream(queue, { connection });
      stream.resume();
      await once(stream, 'ready');
      for (let tick = 0; tick < ticks; tick += 1) await undefined;
      stream.destroy();
      await connection.close();
    }
    await until(async () => (await clientsSeen()) === 0);
    process.off('unhandledRejection', record);
    assert.deepEqual(unhandled, []);
  });

  it('waits a pop out where CLIENT UNBLOCK is not allowed', async () => {
    await using own = await RedisServer.start('--user', 'limited', 'on', '>pw', '~*', '&*', '+@all', '-client');
    const connection = connect(own.url.replace('//', '//limited:pw@'));
    const stream = new PullStream(queue, { connection });
    stream.resume();
    await until(() => connection.stats().clients === 2);
    stream.destroy();
    await closed(stream);
    await push(connection, queue, [1]);
    assert.deepEqual(await drain(connection, queue), [1]);
    await connection.close();
  });
});
