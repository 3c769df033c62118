import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Redis } from 'ioredis';
import {
  createClient,
  createServer,
  type JobClient,
  type JobOptions,
  type JobServer,
  type JobServerOptions,
} from '../../lib/compat/job-queue.ts';
import { type Connection, connect } from '../../lib/index.ts';
import { Child } from '../chaos/child.ts';
import { uniqueQueue } from '../support/brokers.ts';
import { RedisServer } from '../support/redis.ts';
import { numbers, until } from '../support/streams.ts';
import { killOthers } from './support/killing.ts';

interface Packet {
  id: string;
  method: string;
  parameters: unknown;
  channel: string;
}

describe('JobQueue', () => {
  let server: RedisServer;
  let redis: Redis;
  let connection: Connection;
  let queue: string;
  let options: JobOptions;
  const ended: { close(): Promise<void> }[] = [];

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
    queue = uniqueQueue();
    options = { queue, host: '127.0.0.1', port: server.port };
  });
  afterEach(async () => {
    for (const one of ended.splice(0)) await one.close();
  });

  function newClient(more: object = {}): JobClient {
    const client = createClient({ ...options, ...more });
    ended.push(client);
    return client;
  }

  /** A server that runs. */
  function newServer(more: Partial<JobServerOptions> = {}): JobServer {
    const jobs = createServer({ ...options, ...more });
    ended.push(jobs);
    jobs.on('echo', (data) => data);
    jobs.on('throw', () => {
      throw new Error('thrown');
    });
    jobs.on('reject', async () => {
      throw new Error('rejected');
    });
    jobs.run();
    return jobs;
  }

  /** What is published at a channel, as it comes. */
  async function listen(channel: string): Promise<unknown[]> {
    const subscriber = server.client();
    const messages: unknown[] = [];
    subscriber.on('message', (_channel, message) => messages.push(JSON.parse(message)));
    await subscriber.subscribe(channel);
    return messages;
  }

  /** Takes a job as the older server does. */
  async function take(): Promise<[job: string, packet: Packet]> {
    const job = (await server.client().brpoplpush(queue, `${queue}:in-process`, 0)) as string;
    return [job, JSON.parse(job)];
  }

  describe('the client, on the wire', () => {
    it('puts its packet at the left, and hears the result at its channel', async () => {
      const asked = newClient().run('echo', { request: 'hello' });
      const [job, { id, method, parameters, channel }] = await take();
      assert.deepEqual([method, parameters], ['echo', { request: 'hello' }]);
      await redis.publish(channel, JSON.stringify({ success: true, data: { request: 'hello' }, id }));
      assert.equal(await redis.lrem(`${queue}:in-process`, 0, job), 1);
      assert.deepEqual(await asked, { request: 'hello' });
    });

    it('has a channel for all of its jobs, and ids by which it tells them apart', async () => {
      const client = newClient();
      const asked = numbers(10).map((n) => client.run('echo', n));
      const packets: Packet[] = [];
      for (const _ of asked) packets.push((await take())[1]);
      assert.equal(new Set(packets.map(({ channel }) => channel)).size, 1);
      for (const { channel, id, parameters } of packets.reverse()) {
        await redis.publish(channel, JSON.stringify({ success: true, data: parameters, id }));
      }
      assert.deepEqual(await Promise.all(asked), numbers(10));
    });

    for (const error of ['a text', { name: 'TypeError', message: 'an object' }]) {
      it(`hears an error that is ${typeof error === 'string' ? error : error.message}`, async () => {
        const asked = newClient().run('echo', 1);
        const remote = typeof error === 'string' ? { name: 'Error', message: error } : error;
        const failed = assert.rejects(asked, { code: 'ERR_MILLRACE_REMOTE', remote });
        const [, { channel, id }] = await take();
        await redis.publish(channel, JSON.stringify({ success: false, error, id }));
        await failed;
      });
    }
  });

  describe('the server, on the wire', () => {
    it('takes from the right, and publishes what comes of it at the channel of the packet', async () => {
      const replies = await listen(`replies:${queue}`);
      const methods = ['echo', 'throw', 'reject', 'nothing of the kind', 'echo'];
      for (const [n, method] of methods.entries()) {
        await redis.lpush(queue, JSON.stringify({ method, parameters: n, channel: `replies:${queue}`, id: `${n}` }));
      }
      newServer();
      await until(() => replies.length === 5);
      assert.deepEqual(replies, [
        { id: '0', success: true, data: 0 },
        { id: '1', success: false, error: { name: 'Error', message: 'thrown' } },
        { id: '2', success: false, error: { name: 'Error', message: 'rejected' } },
        {
          id: '3',
          success: false,
          error: {
            name: 'MillraceError',
            message: "No method 'nothing of the kind': there are echo, throw, reject",
            code: 'ERR_MILLRACE_NO_METHOD',
          },
        },
        { id: '4', success: true, data: 4 },
      ]);
    });

    it('reads back what an older server has left in process', async () => {
      const replies = await listen(`replies:${queue}`);
      const put = (n: number): Promise<number> =>
        redis.lpush(queue, JSON.stringify({ method: 'echo', parameters: n, channel: `replies:${queue}`, id: `${n}` }));
      for (const n of numbers(4)) await put(n);
      for (const _ of numbers(3)) await take();
      newServer();
      await until(() => replies.length === 4);
      assert.deepEqual((replies as { data: number }[]).map(({ data }) => data).toSorted(), numbers(4));
      assert.equal(await redis.exists(`${queue}:in-process`), 0);
    });

    it('keeps beside what is no job, and goes on', async () => {
      const replies = await listen(`replies:${queue}`);
      const good = JSON.stringify({ method: 'echo', parameters: 1, channel: `replies:${queue}`, id: '1' });
      await redis.lpush(queue, 'no JSON', '{"method":"echo"}', 'null', good);
      newServer();
      await until(() => replies.length === 1);
      await until(async () => (await redis.xlen(`{${queue}}:dead`)) === 3);
    });
  });

  it('does jobs', async () => {
    newServer();
    const client = newClient();
    const results = await Promise.all(numbers(100).map((n) => client.run('echo', n)));
    assert.deepEqual(results, numbers(100));
  });

  it('names its list as the older project did', async () => {
    const client = newClient({ queue: undefined });
    const asked = client.run('echo', 1);
    await until(async () => (await redis.llen('jobs')) === 1);
    newServer({ queue: undefined as never });
    assert.equal(await asked, 1);
  });

  it('tells the client of a handler that throws or rejects, and goes on', async () => {
    newServer();
    const client = newClient();
    for (const [method, message] of [
      ['throw', 'thrown'],
      ['reject', 'rejected'],
    ] as const) {
      await assert.rejects(client.run(method), { code: 'ERR_MILLRACE_REMOTE', remote: { name: 'Error', message } });
      const said = JSON.parse(JSON.stringify(await client.run(method).catch((error) => error)));
      assert.equal(said.remote.message, message);
    }
    assert.equal(await client.run('echo', 1), 1);
  });

  it('works on several jobs at a time, where it is told to', async () => {
    const jobs = newServer({ concurrency: 3 });
    const waiting: (() => void)[] = [];
    jobs.on('wait', () => new Promise<void>((resolve) => waiting.push(resolve)));
    const client = newClient();
    const asked = numbers(3).map(() => client.run('wait'));
    await until(() => waiting.length === 3);
    for (const resolve of waiting) resolve();
    await Promise.all(asked);
  });

  it('fails a job that takes longer than its client waits', async () => {
    await assert.rejects(newClient({ timeout: 20 }).run('echo'), { code: 'ERR_MILLRACE_TIMEOUT' });
  });

  it('goes on when connections are killed, at both ends, and while a job is done', async () => {
    const jobs = newServer();
    let finish: ((data: unknown) => void) | undefined;
    jobs.on(
      'wait',
      () =>
        new Promise((resolve) => {
          finish = resolve;
        }),
    );
    const client = newClient();
    for (const n of numbers(3)) {
      assert.equal(await client.run('echo', n), n);
      await until(async () => (await killOthers(redis)) > 0);
    }
    const asked = client.run('wait');
    await until(() => finish !== undefined);
    await until(async () => (await killOthers(redis)) > 0);
    finish?.('done');
    assert.equal(await asked, 'done');
  });

  it('does again, at once, what a server of its name had in hand when it died', async () => {
    await using child = new Child('../compat/support/job-holder.ts', server.url, { queue, consumer: 'host' });
    const asked = newClient().run('job', 'data');
    assert.equal(await child.hear('begun'), 'data');
    await child.kill();
    const jobs = newServer({ consumer: 'host' });
    jobs.on('job', (data) => `${data} done`);
    assert.equal(await asked, 'data done');
  });

  it('finishes with close() what it works on, and leaves all else in the list', async () => {
    const jobs = createServer(options);
    let finish: ((data: unknown) => void) | undefined;
    jobs.on(
      'wait',
      () =>
        new Promise((resolve) => {
          finish = resolve;
        }),
    );
    assert.equal(jobs.run(), jobs.run());
    const client = newClient();
    const asked = client.run('wait');
    await until(() => finish !== undefined);
    const later = client.run('echo', 'later');
    const closing = jobs.close();
    finish?.('done');
    await closing;
    assert.equal(await asked, 'done');
    newServer();
    assert.equal(await later, 'later');
  });

  it('says why it can do nothing', async () => {
    await redis.set(`${queue}:in-process`, 'a text');
    await assert.rejects(createServer(options).run().closed, { code: 'ERR_MILLRACE_REFUSED' });
    await redis.set(queue, 'a text');
    await assert.rejects(createServer(options).run().closed, { code: 'ERR_MILLRACE_REFUSED' });
  });

  it('fails with close() what is not done', async () => {
    const client = createClient(options);
    const failed = assert.rejects(client.run('echo'), { code: 'ERR_MILLRACE_CLOSED' });
    await client.close();
    await failed;
  });

  describe('done()', () => {
    it('is the end of a chain', async () => {
      newServer();
      const job = newClient().run('echo', 1);
      const told = await new Promise((resolve) => job.then((n) => n + 1).done(resolve));
      assert.equal(told, 2);
    });

    it('throws what nobody has caught', async () => {
      newServer();
      const listeners = process.listeners('uncaughtException');
      process.removeAllListeners('uncaughtException');
      const thrown = once(process, 'uncaughtException');
      newClient().run('throw').done();
      const [error] = await thrown;
      for (const listener of listeners) process.on('uncaughtException', listener);
      assert.equal(error.remote.message, 'thrown');
    });
  });

  it('refuses wrong arguments', () => {
    const make = (more: object) => () => createServer({ ...options, ...more }).run();
    assert.throws(make({ concurrency: 0 }), { code: 'ERR_OUT_OF_RANGE' });
    assert.throws(make({ colour: 'red' }), { code: 'ERR_INVALID_ARG_VALUE' });
    assert.throws(make({ inProcess: queue }), { code: 'ERR_INVALID_ARG_VALUE' });
    assert.throws(make({ queue: 'a{b}' }), { code: 'ERR_INVALID_ARG_VALUE' });
    assert.throws(make({ host: undefined, port: undefined, connection: 'memory:' }), {
      code: 'ERR_MILLRACE_NOT_SUPPORTED',
    });
    assert.throws(() => createClient({ timeout: 0 }), { code: 'ERR_OUT_OF_RANGE' });
    assert.throws(() => createServer().on('echo', 'handler' as never), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(() => createServer().on('', () => {}), { code: 'ERR_INVALID_ARG_VALUE' });
  });
});
