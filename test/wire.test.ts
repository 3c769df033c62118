import assert from 'node:assert/strict';
import type { Redis } from 'ioredis';
import {
  Client,
  type Connection,
  connect,
  type DeadLetter,
  type Handlers,
  type Service,
  serve,
  type Untyped,
} from '../lib/index.ts';
import { REPLIES } from '../lib/packet.ts';
import { uniqueQueue } from './support/brokers.ts';
import { RedisServer } from './support/redis.ts';
import { numbers, until } from './support/streams.ts';

/** All that a program needs to ask and to answer. */
const COMMANDS = ['subscribe', 'lpush', 'brpop', 'blmove', 'publish', 'lrem'];

describe('a program that knows nothing but six commands of Redis', () => {
  let server: RedisServer;
  let connection: Connection;
  let queue: string;

  before(async () => {
    server = await RedisServer.start();
    const allowed = COMMANDS.map((command) => `+${command}`);
    await server.client().call('ACL', 'SETUSER', 'bare', 'on', '>bare', '~*', '&*', '-@all', ...allowed);
  });
  after(() => server[Symbol.asyncDispose]());
  beforeEach(() => {
    connection = connect(server.url);
    queue = uniqueQueue();
  });
  afterEach(() => connection.close({ timeout: 2000 }));

  /** A client that may use these commands and no others. */
  function bareClient(): Redis {
    return server.client({ username: 'bare', password: 'bare', enableReadyCheck: false });
  }

  /** What is published at a channel, as it comes. */
  async function listen(channel: string): Promise<unknown[]> {
    const subscriber = bareClient();
    const messages: unknown[] = [];
    subscriber.on('message', (_channel, message) => messages.push(JSON.parse(message)));
    await subscriber.subscribe(channel);
    return messages;
  }

  it('may use no others', async () => {
    await assert.rejects(bareClient().get('key'), /NOPERM/);
  });

  describe('asks', () => {
    let client: Redis;
    let service: Service;
    let channel: string;
    let replies: unknown[];

    beforeEach(async () => {
      client = bareClient();
      channel = `replies:${queue}`;
      replies = await listen(channel);
      const handlers: Handlers<Untyped> = {
        square: (n) => n * n,
        echo: (value, { headers, deadline }) => ({ value, headers, isUrgent: Number.isFinite(deadline) }),
        nothing: () => {},
        fail: () => {
          throw Object.assign(new TypeError('on purpose'), { code: 'E_PURPOSE' });
        },
        reject: (_value, request) => request.reject('unwanted'),
      };
      service = serve(queue, handlers, { connection });
    });
    afterEach(() => service.close());

    /** Puts requests into the queue, and gives the next reply. */
    async function ask(...packets: (string | object)[]): Promise<unknown> {
      const had = replies.length;
      await client.lpush(queue, ...packets.map((one) => (typeof one === 'string' ? one : JSON.stringify(one))));
      await until(() => replies.length > had);
      return replies[had];
    }

    async function deadLetters(): Promise<DeadLetter[]> {
      return await connection.deadLetters(queue).toArray();
    }

    it('and gets the reply at its channel', async () => {
      const reply = await ask({ id: 'a 1', method: 'square', parameters: 3, channel });
      assert.deepEqual(reply, { id: 'a 1', success: true, data: 9 });
    });

    it('and gets an error, with its code if it has one', async () => {
      assert.deepEqual(await ask({ id: '1', method: 'fail', channel }), {
        id: '1',
        success: false,
        error: { name: 'TypeError', message: 'on purpose', code: 'E_PURPOSE' },
      });
      assert.deepEqual(await ask({ id: '2', method: 'cube', channel }), {
        id: '2',
        success: false,
        error: {
          name: 'MillraceError',
          message: "No method 'cube': there are square, echo, nothing, fail, reject",
          code: 'ERR_MILLRACE_NO_METHOD',
        },
      });
    });

    it('in the words of the older JobQueue, and is answered in them', async () => {
      // Its packet as its manual has it, of which `run('echo', …)` fills in the names.
      const packet = `{
      "method": "echo",
      "parameters": { "request": "hello" },
      "channel": "${channel}",
      "id": "unique-id-of-job-request"
    }`;
      assert.deepEqual(await ask(packet), {
        success: true,
        data: { value: { request: 'hello' }, headers: {}, isUrgent: false },
        id: 'unique-id-of-job-request',
      });
    });

    it('with nothing, and is told nothing', async () => {
      assert.deepEqual(await ask({ id: '1', method: 'nothing', channel }), { id: '1', success: true });
    });

    it('with headers, and until when it waits; one that is late is not worked on', async () => {
      const late = { id: 'late', method: 'square', parameters: 2, channel, deadline: Date.now() - 60_000 };
      const deadline = Date.now() + 60_000;
      const reply = await ask(late, { id: '1', method: 'echo', channel, deadline, headers: { trace: 'T' } });
      assert.deepEqual(reply, { id: '1', success: true, data: { headers: { trace: 'T' }, isUrgent: true } });
      await until(async () => (await connection.inspect(queue)).settled === 2);
      assert.equal(replies.length, 1);
    });

    it('in one command for many, and gets each reply alone', async () => {
      const packets = numbers(100).map((n) => ({ id: String(n), method: 'square', parameters: n, channel }));
      await ask(...packets);
      await until(() => replies.length === packets.length);
      const wanted = numbers(100).map((n) => ({ id: String(n), success: true, data: n * n }));
      assert.deepEqual(replies, wanted);
    });

    it('for what becomes a dead letter, and is told so', async () => {
      const wrong = [
        { id: '1', method: 'reject', channel },
        { id: '2', method: 'square', channel, deadline: 'soon' },
        { id: '3', method: 'square', channel, headers: 'none' },
      ];
      await ask(...wrong);
      await until(() => replies.length === wrong.length);
      const told = replies as unknown as { id: string; success: boolean; error: { code: string } }[];
      const byId = [...told].sort((a, b) => a.id.localeCompare(b.id));
      for (const [i, { id, success, error }] of byId.entries()) {
        assert.deepEqual([id, success, error.code], [String(i + 1), false, 'ERR_MILLRACE_DEAD_LETTER']);
      }
      assert.equal((await deadLetters()).length, wrong.length);
    });

    it('in vain what is no request: that is a dead letter, byte for byte, and does no harm to others', async () => {
      const garbage = [
        'no JSON',
        'null',
        '17',
        '[]',
        '{}',
        `{"method":"square","parameters":3,"channel":"${channel}"}`,
        `{ "id": 1, "method": "square", "channel": "${channel}" }`,
        `{"id":"1","channel":"${channel}"}`,
        '{"id":"1","method":"square"}',
        '{"id":"1","method":"square","parameters":3,"chan',
      ];
      assert.deepEqual(await ask(...garbage, { id: '1', method: 'square', parameters: 3, channel }), {
        id: '1',
        success: true,
        data: 9,
      });
      await until(async () => (await connection.inspect(queue)).dead === garbage.length);
      const kept = (await deadLetters()).map(({ bytes }) => Buffer.from(bytes).toString());
      assert.deepEqual(kept.sort(), garbage.sort());
      assert.equal(replies.length, 1);
    });
  });

  describe('answers', () => {
    interface Packet {
      id: string;
      method: string;
      parameters?: unknown;
      channel: string;
      deadline: number;
      headers?: object;
    }

    let worker: Redis;
    let client: Client;
    beforeEach(() => {
      worker = bareClient();
      client = new Client(queue, { connection, timeout: 60_000 });
    });
    afterEach(() => client.close());

    async function next(): Promise<Packet> {
      const [, packet] = (await worker.brpop(queue, 0)) as [string, string];
      return JSON.parse(packet);
    }

    function say({ channel }: Packet, reply: string | object): Promise<number> {
      return worker.publish(channel, typeof reply === 'string' ? reply : JSON.stringify(reply));
    }

    it('a request as it is taken from the queue', async () => {
      const asked = client.request('square', 3);
      const packet = await next();
      const { id, channel, deadline, ...rest } = packet;
      assert.deepEqual(rest, { method: 'square', parameters: 3 });
      assert.ok(channel.startsWith(REPLIES), channel);
      assert.ok(Number.isInteger(deadline) && deadline > Date.now(), String(deadline));
      assert.equal(await say(packet, { id, success: true, data: 9 }), 1);
      assert.equal(await asked, 9);
      assert.equal(connection.stats().strayReplies, 0);
    });

    it('and sees what goes along with it', async () => {
      const asked = client.request('nothing', undefined, { headers: { trace: 'T' } });
      const packet = await next();
      assert.deepEqual(packet.headers, { trace: 'T' });
      assert.ok(!('parameters' in packet));
      await say(packet, { id: packet.id, success: true });
      assert.equal(await asked, undefined);
    });

    it('with an error', async () => {
      const error = { name: 'ValueError', message: 'math domain error', code: 'E_DOMAIN' };
      const asked = client.request('log', 0);
      const failed = assert.rejects(asked, { code: 'ERR_MILLRACE_REMOTE', remote: error });
      const packet = await next();
      await say(packet, { id: packet.id, success: false, error });
      await failed;
    });

    it('with an error that is but a text', async () => {
      const asked = client.request('log', 0);
      const failed = assert.rejects(asked, { code: 'ERR_MILLRACE_REMOTE', remote: { name: 'Error', message: 'no' } });
      const packet = await next();
      await say(packet, { id: packet.id, success: false, error: 'no' });
      await failed;
    });

    it('keeping what it works on in a list beside, as the older JobQueue does', async () => {
      const inProcess = `${queue}:in-process`;
      const asked = client.request('square', 3);
      const job = (await worker.blmove(queue, inProcess, 'RIGHT', 'LEFT', 0)) as string;
      assert.deepEqual(await server.client().lrange(inProcess, 0, -1), [job]);
      const packet = JSON.parse(job);
      await say(packet, { success: true, data: 9, id: packet.id });
      assert.equal(await worker.lrem(inProcess, 0, job), 1);
      assert.equal(await asked, 9);
    });

    it('in any order', async () => {
      const asked = numbers(100).map((n) => client.request('square', n));
      const packets: Packet[] = [];
      for (const _ of asked) packets.push(await next());
      for (const packet of packets.reverse()) {
        await say(packet, { id: packet.id, success: true, data: (packet.parameters as number) ** 2 });
      }
      assert.deepEqual(
        await Promise.all(asked),
        numbers(100).map((n) => n * n),
      );
    });

    it('in vain with what is no reply to anything: that is counted, and does no harm', async () => {
      const asked = client.request('square', 3);
      const packet = await next();
      const { id } = packet;
      const right = { id, success: true, data: 9 };
      const garbage: [said: string | object, count: number][] = [
        ['no JSON', 1],
        ['null', 1],
        [{}, 1],
        [{ success: true, data: 8 }, 1],
        [{ id: `${id}0`, success: true, data: 8 }, 1],
        [{ id, data: 8 }, 1],
        [{ id, success: 'yes', data: 8 }, 1],
        [{ id, success: false }, 1],
        [[17, 'x', {}], 3],
      ];
      let count = 0;
      for (const [said, more] of garbage) {
        await say(packet, said);
        count += more;
        await until(() => connection.stats().strayReplies === count);
      }
      assert.equal(await Promise.race([asked, 'pending']), 'pending');
      await say(packet, right);
      assert.equal(await asked, 9);
      await say(packet, right);
      await until(() => connection.stats().strayReplies === count + 1);
    });

    it('none that was given up before: that is taken out of the queue', async () => {
      const giveUp = new AbortController();
      const asked = client.request('first', 1, { signal: giveUp.signal });
      await until(async () => (await connection.inspect(queue)).waiting === 1);
      giveUp.abort();
      await assert.rejects(asked, { name: 'AbortError' });
      const second = client.request('second', 2);
      const packet = await next();
      assert.equal(packet.method, 'second');
      await say(packet, { id: packet.id, success: true, data: 2 });
      assert.equal(await second, 2);
    });

    it('but is no consumer', async () => {
      const waiting = next();
      const asked = client.request('square', 3, { consumerTimeout: 50 });
      await assert.rejects(asked, { code: 'ERR_MILLRACE_NO_CONSUMER' });
      await waiting;
    });
  });
});
