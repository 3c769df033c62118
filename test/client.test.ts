import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { getEventListeners, once } from 'node:events';
import { everything } from '../lib/connect.ts';
import type { DriverConnection, Sender } from '../lib/driver.ts';
import { connectMemory } from '../lib/drivers/memory/connection.ts';
import {
  Client,
  type Connection,
  connect,
  MillraceError,
  type Request,
  RequestDuplex,
  registerDriver,
  serve,
} from '../lib/index.ts';
import { type RequestPacket, replyText } from '../lib/packet.ts';
import { memory } from '../lib/testing.ts';
import { Answerer, driverUnder } from './support/answering.ts';
import { brokers, describeEach, uniqueQueue } from './support/brokers.ts';
import { RedisServer } from './support/redis.ts';
import { closed, drain, nextTurn, numbers, until } from './support/streams.ts';

const echo = ({ method, parameters }: RequestPacket): unknown => ({ [method]: parameters });

/** Why a promise was rejected. */
async function reasonOf(promise: Promise<unknown>): Promise<MillraceError> {
  const [result] = await Promise.allSettled([promise]);
  assert.ok(result.status === 'rejected', 'it was fulfilled');
  return result.reason;
}

describeEach('Client', (broker) => {
  let connection: Connection;
  let queue: string;
  let client: Client;
  beforeEach(() => {
    connection = connect(broker().url);
    queue = uniqueQueue();
    client = new Client(queue, { connection });
  });
  afterEach(async () => {
    await client.close();
    await connection.close({ timeout: 500 });
  });

  describe('asks', () => {
    it('by method, and gives the reply', async () => {
      new Answerer(connection, queue, echo);
      assert.deepEqual(await client.request('a', { n: 1 }), { a: { n: 1 } });
      assert.deepEqual(await client.request('b', null), { b: null });
      assert.deepEqual(await client.request('toString', 'x'), { toString: 'x' });
    });

    it('with nothing, and is told nothing', async () => {
      const answerer = new Answerer(connection, queue);
      const asked = [client.request('a', undefined), client.request('a', undefined)];
      assert.ok(!('parameters' in (await answerer.request(0)).value));
      await answerer.reply(0, undefined);
      await answerer.reply(1, null);
      assert.deepEqual(await Promise.all(asked), [undefined, null]);
    });

    it('and is told how far the work is, while it goes on', async () => {
      const heard: unknown[] = [];
      const work = async (_value: unknown, request: Request): Promise<string> => {
        for (const done of [1, 2]) {
          request.progress(done, 2);
          await until(() => heard.length >= done);
        }
        return 'all';
      };
      await using _service = serve(queue, { work }, { connection });
      const onProgress = (...told: unknown[]): void => void heard.push(told);
      assert.equal(await client.request('work', 1, { onProgress }), 'all');
      assert.deepEqual(heard, [
        [1, 2],
        [2, 2],
      ]);
      const { strayReplies } = connection.stats();
      assert.equal(await client.request('work', 1), 'all');
      assert.equal(connection.stats().strayReplies, strayReplies);
      const wrong = { onProgress: 1 as never };
      await assert.rejects(client.request('work', 1, wrong), { code: 'ERR_INVALID_ARG_TYPE' });
    });

    it('in each of 1,000 clients of one connection, and gives each its own', async () => {
      new Answerer(connection, queue, ({ parameters }) => parameters);
      const clients = numbers(1000).map(() => new Client(queue, { connection }));
      const asked = clients.map((one, n) => Promise.all([one.request('m', `${n}a`), one.request('m', `${n}b`)]));
      const replies = await Promise.all(asked);
      assert.deepEqual(
        replies,
        numbers(1000).map((n) => [`${n}a`, `${n}b`]),
      );
      const stats = connection.stats();
      assert.equal(stats.strayReplies, 0);
      assert.ok(stats.clients <= 3, `${stats.clients} clients`);
      await Promise.all(clients.map((one) => one.close()));
    });

    it('10,000 times at once, and again when it was idle', async () => {
      new Answerer(connection, queue, ({ parameters }) => parameters);
      for (let round = 0; round < 2; round += 1) {
        assert.deepEqual(await Promise.all(numbers(10_000).map((n) => client.request('m', n))), numbers(10_000));
        await until(async () => (await connection.inspect(queue)).inProcess === 0);
      }
    });

    it('with its own options, or else those of the client', async () => {
      const own = new Client(queue, { connection, timeout: 9000, headers: { tenant: 'a' } });
      const answerer = new Answerer(connection, queue);
      const driver = await driverUnder(connection);
      await connection.ready;
      const before = driver.now();
      void own.request('m', 0).catch(() => {});
      void own.request('m', 1, { headers: { trace: 'b' } }).catch(() => {});
      void own.request('m', 2, { timeout: 1000, headers: undefined as never }).catch(() => {});
      await answerer.request(2);
      const headers = answerer.requests.map(({ value }) => value.headers);
      assert.deepEqual(headers, [{ tenant: 'a' }, { trace: 'b' }, { tenant: 'a' }]);
      const times = answerer.requests.map(({ value }) => Number(value.deadline) - before);
      for (const [index, timeout] of [9000, 9000, 1000].entries()) {
        const time = times[index] as number;
        assert.ok(time >= timeout && time < timeout + 5000, `${time}`);
      }
      await own.close();
    });

    it('with what a value was when it was asked', async () => {
      const answerer = new Answerer(connection, queue);
      const value = { n: 1 };
      void client.request('m', value).catch(() => {});
      value.n = 2;
      await answerer.request(0);
      assert.deepEqual(answerer.parameters, [{ n: 1 }]);
    });
  });

  describe('rejects a promise alone', () => {
    it('when its handler failed', async () => {
      const answerer = new Answerer(connection, queue);
      const asked = [client.request('one', 1), client.request('two', 2)];
      const reason = reasonOf(asked[0] as Promise<unknown>);
      await answerer.fail(0, Object.assign(new RangeError('it is odd'), { code: 'E_ODD' }));
      await answerer.reply(1, 'fine');
      const error = await reason;
      assert.ok(error instanceof MillraceError && !(error instanceof RangeError));
      assert.equal(error.code, 'ERR_MILLRACE_REMOTE');
      assert.deepEqual(error.remote, { name: 'RangeError', message: 'it is odd', code: 'E_ODD' });
      for (const part of ['"one"', queue, 'it is odd']) assert.ok(error.message.includes(part), error.message);
      assert.equal(await asked[1], 'fine');
    });

    it('when JSON cannot say its value, or it is too large', async () => {
      new Answerer(connection, queue, ({ parameters }) => parameters);
      const small = new Client(queue, { connection, maxBytes: 500 });
      for (let round = 0; round < 2; round += 1) {
        const large = 'x'.repeat(500);
        const asked = [1, 2n, large, 'é'.repeat(100)].map((value) => small.request('m', value));
        const results = await Promise.allSettled(asked);
        assert.deepEqual(
          results.map((result) => (result.status === 'rejected' ? result.reason.code : result.value)),
          [1, 'ERR_MILLRACE_INVALID_ITEM', 'ERR_MILLRACE_TOO_LARGE', 'é'.repeat(100)],
        );
        const [, invalid] = results;
        assert.equal(invalid?.status === 'rejected' && invalid.reason.item, 2n);
      }
      await small.close();
    });

    it('when its time is over', async () => {
      const answerer = await Answerer.watching(connection, queue);
      const patient = client.request('patient', 1);
      const error = await reasonOf(client.request('hasty', 2, { timeout: 20 }));
      assert.equal(error.code, 'ERR_MILLRACE_TIMEOUT');
      for (const part of ['"hasty"', queue, '20 ms']) assert.ok(error.message.includes(part), error.message);
      await answerer.reply(1, 'late');
      await until(() => connection.stats().strayReplies === 1);
      await answerer.reply(0, 'fine');
      assert.equal(await patient, 'fine');
      assert.deepEqual(answerer.cancelled, []);
    });

    it('when nobody is there to work on it, and has it cancelled', async () => {
      const error = await reasonOf(client.request('m', 1, { consumerTimeout: 20 }));
      assert.equal(error.code, 'ERR_MILLRACE_NO_CONSUMER');
      assert.equal(error.retryable, true);
      await client.close();
      assert.deepEqual(await drain(connection, queue), []);
    });

    it('not when somebody is there, or an answer comes in time', async () => {
      const answerer = new Answerer(connection, queue);
      await until(async () => (await connection.inspect(queue)).consumers.length === 1);
      const slow = client.request('m', 1, { consumerTimeout: 1, timeout: 300 });
      const quick = client.request('m', 2, { consumerTimeout: 60_000 });
      await answerer.reply(1, 'quick');
      assert.equal(await quick, 'quick');
      assert.equal((await reasonOf(slow)).code, 'ERR_MILLRACE_TIMEOUT');
    });

    it('when its signal is aborted, and has it cancelled', async () => {
      const answerer = await Answerer.watching(connection, queue);
      const reasons = [new RangeError('on purpose'), 'a string', undefined];
      const controllers = reasons.map(() => new AbortController());
      const asked = controllers.map(({ signal }, n) => client.request('m', n, { signal }));
      const other = client.request('m', 'other');
      const rejected = Promise.all(asked.map(reasonOf));
      await answerer.request(3);
      for (const [n, controller] of controllers.entries()) controller.abort(reasons[n]);
      const errors = await rejected;
      assert.equal(errors[0], reasons[0]);
      assert.equal(errors[1]?.name, 'AbortError');
      assert.equal(errors[1]?.cause, 'a string');
      assert.equal(errors[2], controllers[2]?.signal.reason);
      await until(() => answerer.cancelled.length === 3);
      assert.deepEqual(answerer.cancelledParameters, [0, 1, 2]);
      await answerer.reply(3, 'fine');
      assert.equal(await other, 'fine');
      await answerer.reply(0, 'late');
      await until(() => connection.stats().strayReplies === 1);
    });

    it('when its signal was aborted before, or before it was sent: then it is not sent', async () => {
      const reason = new Error('on purpose');
      assert.equal(await reasonOf(client.request('m', 1, { signal: AbortSignal.abort(reason) })), reason);
      const bare = await reasonOf(client.request('m', 1, { signal: AbortSignal.abort('bare') }));
      assert.equal(bare.name, 'AbortError');
      for (let round = 0; round < 2; round += 1) {
        const controller = new AbortController();
        const asked = reasonOf(client.request('m', 2, { signal: controller.signal }));
        controller.abort(reason);
        assert.equal(await asked, reason);
        await connection.ready;
      }
      assert.deepEqual(await drain(connection, queue), []);
    });

    it('by one signal, a hundred at a time, without a warning', async () => {
      const answerer = new Answerer(connection, queue);
      const controller = new AbortController();
      const { signal } = controller;
      const warnings: Error[] = [];
      const note = (warning: Error): void => void warnings.push(warning);
      process.on('warning', note);
      const asked = numbers(100).map((n) => reasonOf(client.request('m', n, { signal })));
      await answerer.request(99);
      assert.equal(getEventListeners(signal, 'abort').length, 1);
      controller.abort(new Error('enough'));
      for (const one of asked) assert.equal((await one).message, 'enough');
      await nextTurn();
      process.off('warning', note);
      assert.deepEqual(warnings, []);
    });

    it('and leaves no listener at its signal', async () => {
      const answerer = new Answerer(connection, queue);
      const { signal } = new AbortController();
      const listeners = (): number => getEventListeners(signal, 'abort').length;
      const asked = [
        client.request('m', 0, { signal }),
        reasonOf(client.request('m', 1, { signal })),
        reasonOf(client.request('m', 2, { signal, timeout: 20 })),
        reasonOf(client.request('m', 3n, { signal })),
      ];
      await answerer.reply(0, 'fine');
      await answerer.fail(1, new Error('no'));
      await Promise.all(asked);
      assert.equal(listeners(), 0);
      const last = reasonOf(client.request('m', 4, { signal }));
      assert.equal(listeners(), 1);
      await client.close();
      await last;
      assert.equal(listeners(), 0);
    });

    it('when its arguments are wrong', async () => {
      const ask = (method: unknown, options?: unknown) => client.request(method as string, 1, options as never);
      const codes: [Promise<unknown>, string][] = [
        [ask(1), 'ERR_INVALID_ARG_TYPE'],
        [ask(''), 'ERR_INVALID_ARG_VALUE'],
        [ask('m', null), 'ERR_INVALID_ARG_TYPE'],
        [ask('m', { timeout: 0 }), 'ERR_OUT_OF_RANGE'],
        [ask('m', { timeuot: 1 }), 'ERR_INVALID_ARG_VALUE'],
        [ask('m', { headers: { a: 1 } }), 'ERR_INVALID_ARG_TYPE'],
        [ask('m', { signal: 1 }), 'ERR_INVALID_ARG_TYPE'],
        [ask('m', { maxBytes: 1 }), 'ERR_INVALID_ARG_VALUE'],
      ];
      for (const [promise, code] of codes) assert.equal((await reasonOf(promise)).code, code);
    });
  });

  describe('is closed', () => {
    it('with what is pending rejected and cancelled, twice too', async () => {
      const answerer = await Answerer.watching(connection, queue);
      const asked = numbers(3).map((n) => reasonOf(client.request('m', n)));
      await answerer.request(2);
      await Promise.all([client.close(), client.close()]);
      await client.close();
      for (const error of await Promise.all(asked)) assert.equal(error.code, 'ERR_MILLRACE_CLOSED');
      await until(() => answerer.cancelled.length === 3);
      assert.equal((await reasonOf(client.request('m', 1))).code, 'ERR_MILLRACE_CLOSED');
      assert.throws(() => client.duplex('m'), { code: 'ERR_MILLRACE_CLOSED' });
    });

    it('before anything was sent: then nothing is', async () => {
      const asked = numbers(300).map((n) => reasonOf(client.request('m', n)));
      await client.close();
      for (const error of await Promise.all(asked)) assert.equal(error.code, 'ERR_MILLRACE_CLOSED');
      assert.deepEqual(await drain(connection, queue), []);
    });

    it('behind await using', async () => {
      let asked: Promise<MillraceError>;
      {
        await using own = new Client(queue, { connection });
        asked = reasonOf(own.request('m', 1));
      }
      assert.equal((await asked).code, 'ERR_MILLRACE_CLOSED');
    });

    it('by its signal', async () => {
      const controller = new AbortController();
      const own = new Client(queue, { connection, signal: controller.signal });
      const asked = reasonOf(own.request('m', 1));
      controller.abort('on purpose');
      const error = await asked;
      assert.equal(error.code, 'ERR_MILLRACE_CLOSED');
      assert.equal(error.cause, 'on purpose');
      assert.equal((await reasonOf(own.request('m', 2))).code, 'ERR_MILLRACE_CLOSED');
      const late = new Client(queue, { connection, signal: controller.signal });
      assert.equal((await reasonOf(late.request('m', 2))).code, 'ERR_MILLRACE_CLOSED');
      await own.close();
      assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
    });

    it('with its connection, which waits for what is pending', async () => {
      const other = connect(broker().url);
      const own = new Client(queue, { connection: other });
      const answerer = new Answerer(connection, queue);
      const asked = own.request('m', 1);
      await answerer.request(0);
      const closing = other.close();
      await nextTurn();
      assert.equal((await reasonOf(own.request('m', 2))).code, 'ERR_MILLRACE_CLOSED');
      await answerer.reply(0, 'in time');
      assert.equal(await asked, 'in time');
      await closing;
      assert.equal((await reasonOf(own.request('m', 3))).code, 'ERR_MILLRACE_CLOSED');
      assert.throws(() => new Client(queue, { connection: other }), { code: 'ERR_MILLRACE_CLOSED' });
    });

    it('with its connection, which does not wait longer than it may', async () => {
      const other = connect(broker().url);
      const own = new Client(queue, { connection: other });
      const answerer = await Answerer.watching(connection, queue);
      const asked = reasonOf(own.request('m', 1));
      await answerer.request(0);
      await other.close({ timeout: 50 });
      assert.equal((await asked).code, 'ERR_MILLRACE_CLOSED');
      await until(() => answerer.cancelled.length === 1);
    });
  });

  describe('makes streams', () => {
    it('of its connection, for a method, with its defaults', async () => {
      const own = new Client(queue, { connection, headers: { tenant: 'a' } });
      const answerer = new Answerer(connection, queue, ({ parameters }) => (parameters as number) + 1);
      const duplex = own.duplex('next', { concurrency: 2 });
      assert.ok(duplex instanceof RequestDuplex);
      for (const n of numbers(3)) duplex.write(n);
      duplex.end();
      assert.deepEqual(await duplex.toArray(), [1, 2, 3]);
      const { method, headers } = (await answerer.request(0)).value;
      assert.deepEqual([method, headers], ['next', { tenant: 'a' }]);
      await own.close();
    });

    it('which do not end with it', async () => {
      new Answerer(connection, queue, ({ parameters }) => parameters);
      const controller = new AbortController();
      const own = new Client(queue, { connection, signal: controller.signal });
      const duplex = own.duplex('m', { settled: true });
      controller.abort();
      duplex.end(1);
      assert.deepEqual(await duplex.toArray(), [{ request: 1, status: 'fulfilled', value: 1 }]);
      await closed(duplex);
    });

    it('whose options are checked', () => {
      const wrong = { code: 'ERR_INVALID_ARG_VALUE' };
      assert.throws(() => client.duplex('m', { method: 'other' } as never), wrong);
      assert.throws(() => client.duplex('m', { connection } as never), wrong);
      assert.throws(() => client.duplex(''), wrong);
      assert.throws(() => client.duplex('m', { concurrency: 0 }), { code: 'ERR_OUT_OF_RANGE' });
    });
  });

  it('lets go of the connection when it is idle, and goes on when it is asked again', async () => {
    const answerer = new Answerer(connection, queue, ({ parameters }) => parameters);
    assert.equal(await client.request('m', 1), 1);
    assert.equal(await client.request('m', 2), 2);
    const [first, second] = answerer.requests.map(({ value }) => value.channel);
    assert.equal(first, second);
    const driver = await driverUnder(connection);
    const { strayReplies } = connection.stats();
    // As long as it listens it counts what is none of its replies.
    for (let told = 0; told === connection.stats().strayReplies - strayReplies; told += 1) {
      await driver.reply([{ channel: first as string, text: 'stray' }]);
      await nextTurn();
    }
    assert.equal(await client.request('m', 3), 3);
    assert.notEqual(answerer.requests[2]?.value.channel, first);
  });
});

describe('Client', () => {
  it('checks its arguments', () => {
    const make = (options: unknown) => () => new Client('q', options as never);
    assert.throws(() => new Client(1 as never), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(() => new Client('a b'), { code: 'ERR_INVALID_ARG_VALUE' });
    assert.throws(make({ codec: 'json' }), { code: 'ERR_INVALID_ARG_VALUE' });
    assert.throws(make({ highWaterMark: 1 }), { code: 'ERR_INVALID_ARG_VALUE' });
    assert.throws(make({ timeout: 0 }), { code: 'ERR_OUT_OF_RANGE' });
    assert.throws(make({ consumerTimeout: '1' }), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(make({ headers: 'a' }), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(make({ signal: {} }), { code: 'ERR_INVALID_ARG_TYPE' });
  });

  it('refuses what the broker cannot do', async () => {
    const connected = (supports: object): Connection => {
      registerDriver('less', {
        supports: { ...everything, ...supports },
        connect: (_target, options) => connectMemory('memory:', options),
      });
      return connect('less:');
    };
    const error = { code: 'ERR_MILLRACE_NOT_SUPPORTED' };
    assert.throws(() => new Client('q', { connection: connected({ requests: false }) }), error);
    assert.throws(() => new RequestDuplex('q', { connection: connected({ requests: false }) }), error);
    const connection = connected({ presence: false });
    assert.throws(() => new Client('q', { connection, consumerTimeout: 1 }), error);
    assert.throws(() => new RequestDuplex('q', { connection, consumerTimeout: 1 }), error);
    const client = new Client('q', { connection });
    assert.equal((await reasonOf(client.request('m', 1, { consumerTimeout: 1 }))).code, error.code);
    await connection.close();
  });

  it('knows the types of a contract', async () => {
    interface Maths {
      square(n: number): number;
      parse(text: string): Promise<{ n: number }>;
      primes(below: number): AsyncIterable<number>;
    }
    const connection = connect('memory:');
    new Answerer(connection, 'maths', ({ method, parameters }) => (method === 'square' ? 9 : { n: parameters }));
    const client = new Client<Maths>('maths', { connection });
    const nine: number = await client.request('square', 3);
    const { n }: { n: number } = await client.request('parse', '3');
    assert.deepEqual([nine, n], [9, '3']);
    const duplex: RequestDuplex<number, number> = client.duplex('square');
    duplex.end(3);
    for await (const reply of duplex.replies()) assert.equal(reply.toFixed(), '9');
    const settled = client.duplex('square', { settled: true });
    settled.end(3);
    for await (const outcome of settled.replies()) {
      if (outcome.status === 'fulfilled') assert.equal(outcome.value.toFixed(), '9');
      else assert.fail(outcome.reason.message);
    }
    const wrong = async (): Promise<void> => {
      // @ts-expect-error: not a number
      await client.request('square', '3');
      // @ts-expect-error: no such method
      await client.request('cube', 3);
      // @ts-expect-error: it answers in many parts
      await client.request('primes', 3);
    };
    assert.equal(typeof wrong, 'function');
    await connection.close();
  });

  it('tells deadlines by the clock of the broker', async () => {
    await using connection = memory();
    const answerer = new Answerer(connection, 'q');
    await connection.advance(1_000_000);
    const driver = await driverUnder(connection);
    const client = new Client('q', { connection });
    const duplex = new RequestDuplex('q', { connection, timeout: 70 });
    const asked = [reasonOf(client.request('m', 1, { timeout: 90 })), reasonOf(client.request('m', 1))];
    duplex.write(1);
    await answerer.request(2);
    const deadlines = answerer.requests.map(({ value }) => Number(value.deadline) - driver.now());
    assert.deepEqual(
      deadlines.toSorted((a, b) => a - b),
      [70, 90, 30_000],
    );
    duplex.destroy();
    await client.close();
    await Promise.all(asked);
    await connection.close({ timeout: 100 });
  });

  describe('asks its driver no more than it must', () => {
    const batches: number[] = [];
    const inspected: string[] = [];
    let [sending, most, inboxes] = [0, 0, 0];
    let connection: Connection;

    /** What counts what is asked of a driver. */
    function counting(driver: DriverConnection): DriverConnection {
      const sender = driver.sender.bind(driver);
      const inspect = driver.inspect.bind(driver);
      const inbox = driver.inbox.bind(driver);
      driver.inbox = (onReplies) => {
        inboxes += 1;
        return inbox(onReplies);
      };
      driver.inspect = (queue) => {
        inspected.push(queue);
        return inspect(queue);
      };
      driver.sender = (queue, options): Sender => {
        const of = sender(queue, options);
        return {
          close: () => of.close(),
          async send(batch) {
            batches.push(batch.length);
            sending += 1;
            most = Math.max(most, sending);
            await nextTurn();
            const sent = await of.send(batch);
            sending -= 1;
            return sent;
          },
        };
      };
      return driver;
    }

    beforeEach(() => {
      batches.splice(0);
      inspected.splice(0);
      most = 0;
      inboxes = 0;
      registerDriver('counting', {
        supports: everything,
        connect: (_target, options) => counting(connectMemory('memory:', options)),
      });
      connection = connect('counting:');
    });
    afterEach(() => connection.close());

    it('in batches of at most 256, two at a time, of all that is asked in a turn', async () => {
      new Answerer(connection, 'q', ({ parameters }) => parameters);
      const client = new Client('q', { connection });
      await Promise.all(numbers(600).map((n) => client.request('m', n)));
      assert.deepEqual(batches.splice(0), [256, 256, 88]);
      assert.equal(most, 2);
      await Promise.all(numbers(10).map((n) => client.request('m', n)));
      assert.deepEqual(batches.splice(0), [10]);
      const first = client.request('m', 1);
      await until(() => batches.length === 1);
      await Promise.all([first, client.request('m', 2), client.request('m', 3)]);
      assert.deepEqual(batches, [1, 2]);
    });

    it('by halves where many ask anew in one turn, so that one is at work while the other is asked', async () => {
      new Answerer(connection, 'q', ({ parameters }) => parameters);
      const client = new Client('q', { connection });
      const ask = (count: number): Promise<unknown[]> => Promise.all(numbers(count).map((n) => client.request('m', n)));
      await ask(128);
      assert.deepEqual(batches.splice(0), [128], 'of which none were known');
      const all = ask(128);
      assert.deepEqual(batches.splice(0), [64, 64], 'on their way before the turn is over');
      assert.deepEqual(await all, numbers(128));
      await ask(63);
      assert.deepEqual(batches.splice(0), [63], 'less than half');
      await ask(95);
      await ask(95);
      assert.deepEqual(batches, [95, 95], 'too few to be halved');
    });

    it('in batches of about 1 MiB', async () => {
      new Answerer(connection, 'q', () => 1);
      const client = new Client('q', { connection });
      const large = 'x'.repeat(400_000);
      await Promise.all(numbers(5).map(() => client.request('m', large)));
      assert.deepEqual(batches, [2, 2, 1]);
    });

    it('looks once for those whose time for a consumer is over in one turn', async () => {
      const clients = numbers(3).map(() => new Client('q', { connection, consumerTimeout: 20 }));
      const asked = clients.flatMap((client) => numbers(10).map((n) => reasonOf(client.request('m', n))));
      for (const error of await Promise.all(asked)) assert.equal(error.code, 'ERR_MILLRACE_NO_CONSUMER');
      assert.ok(inspected.length < asked.length / 2, `${inspected.length} looks`);
    });

    it('has one inbox for all', async () => {
      new Answerer(connection, 'q', () => 1);
      const clients = numbers(20).map(() => new Client('q', { connection }));
      await Promise.all(clients.map((client) => client.request('m', 1)));
      assert.equal(inboxes, 1);
    });
  });

  describe('of a driver that fails', () => {
    it('rejects what was asked, and opens it again for what is asked later', async () => {
      let tries = 0;
      registerDriver('late', {
        supports: everything,
        connect: (_target, options) => {
          tries += 1;
          if (tries === 1) throw new Error('on purpose');
          return connectMemory('memory:', options);
        },
      });
      const connection = connect('late:');
      const client = new Client('q', { connection });
      assert.match((await reasonOf(client.request('m', 1))).message, /on purpose/);
      new Answerer(connection, 'q', ({ parameters }) => parameters);
      assert.equal(await client.request('m', 2), 2);
      await connection.close();
    });
  });

  describe('of Redis', () => {
    let server: RedisServer;
    before(async () => {
      server = await RedisServer.start();
    });
    after(() => server[Symbol.asyncDispose]());

    it('rejects what Redis refuses, and goes on with what it takes', async () => {
      const connection = connect(server.url);
      const queue = uniqueQueue();
      const redis = server.client();
      await redis.set(queue, 'text');
      const client = new Client(queue, { connection });
      const duplex = new RequestDuplex(queue, { connection });
      duplex.write(1);
      const failed = closed(duplex);
      const asked = numbers(300).map((n) => reasonOf(client.request('m', n)));
      for (const error of await Promise.all(asked)) assert.equal(error.code, 'ERR_MILLRACE_REFUSED');
      await failed;
      assert.equal((duplex.errored as MillraceError).code, 'ERR_MILLRACE_REFUSED');
      await redis.del(queue);
      new Answerer(connection, queue, ({ parameters }) => parameters);
      assert.equal(await client.request('m', 1), 1);
      await connection.close();
    });

    it('waits while Redis is away, as long as its requests may', async () => {
      const own = await RedisServer.start();
      const connection = connect(own.url);
      const client = new Client('q', { connection });
      new Answerer(connection, 'q', ({ parameters }) => parameters);
      assert.equal(await client.request('m', 1), 1);
      await own.stop();
      const asked = client.request('m', 2);
      assert.equal((await reasonOf(client.request('m', 3, { timeout: 50 }))).code, 'ERR_MILLRACE_TIMEOUT');
      const controller = new AbortController();
      const aborted = reasonOf(client.request('m', 4, { signal: controller.signal }));
      controller.abort(new Error('on purpose'));
      assert.match((await aborted).message, /on purpose/);
      await own.start();
      assert.equal(await asked, 2);
      await connection.close();
      await own[Symbol.asyncDispose]();
    });

    it('rejects all when the password is wrong', async () => {
      const own = await RedisServer.start('--requirepass', 'secret');
      const connection = connect(own.url);
      const client = new Client('q', { connection });
      const asked = [reasonOf(client.request('m', 1)), reasonOf(client.request('m', 2))];
      for (const error of await Promise.all(asked)) assert.equal(error.code, 'ERR_MILLRACE_REFUSED');
      assert.equal((await reasonOf(client.request('m', 3))).code, 'ERR_MILLRACE_REFUSED');
      await connection.close();
      await own[Symbol.asyncDispose]();
    });
  });

  describe('lets the process end', () => {
    const programs: Record<string, string> = {
      'when it was never used': `
        new Client('q1');
        console.log('done');
      `,
      'when nothing is pending, though it is not closed': `
        const client = new Client('q2');
        await client.request('m', 1, { timeout: 50 }).catch(() => console.log('done'));
      `,
      'when it is closed': `
        const client = new Client('q3');
        const asked = client.request('m', 1);
        setImmediate(() => client.close());
        await asked.catch(() => console.log('done'));
      `,
      'when its connection is closed': `
        const connection = connect();
        const client = new Client('q4', { connection });
        client.request('m', 1).catch(() => {});
        await connection.close({ timeout: 50 });
        console.log('done');
      `,
      'when a stream is destroyed with its requests': `
        const duplex = new RequestDuplex('q5');
        duplex.write(1);
        duplex.on('close', () => console.log('done'));
        duplex.on('ready', () => duplex.destroy());
      `,
      'when a stream has ended': `
        const duplex = new RequestDuplex('q6');
        duplex.end();
        for await (const reply of duplex) console.log('?');
        console.log('done');
      `,
    };

    for (const [name, start] of Object.entries(brokers)) {
      describe(`of ${name}`, () => {
        let broker: Awaited<ReturnType<typeof start>>;
        before(async () => {
          broker = await start();
        });
        after(() => broker[Symbol.asyncDispose]());

        for (const [title, program] of Object.entries(programs)) {
          it(title, async () => {
            const head = `import { Client, connect, RequestDuplex } from './lib/index.ts';\n`;
            const args = ['--import', 'tsx', '--input-type=module', '-e', head + program];
            const env = { ...process.env, MILLRACE_URL: broker.url };
            const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
            let printed = '';
            let last = 0;
            child.stdout.on('data', (bytes) => {
              printed += bytes;
              last = performance.now();
            });
            const [code] = await once(child, 'close');
            assert.deepEqual([printed.trim(), code], ['done', 0]);
            const lived = performance.now() - last;
            // The promise itself: within a second.
            assert.ok(lived < 1000, `lived on for ${lived} ms`);
          });
        }
      });
    }
  });

  it('keeps the process alive while a request is pending', async () => {
    const program = `
      import { Client } from './lib/index.ts';
      new Client('q', { connection: 'memory:' }).request('m', 1, { timeout: 300 }).catch(({ code }) => console.log(code));
    `;
    const args = ['--import', 'tsx', '--input-type=module', '-e', program];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let printed = '';
    child.stdout.on('data', (bytes) => (printed += bytes));
    await once(child, 'close');
    assert.equal(printed.trim(), 'ERR_MILLRACE_TIMEOUT');
  });

  it('settles once, though it is answered as it is given up', async () => {
    const connection = connect('memory:');
    const driver = await driverUnder(connection);
    const answerer = new Answerer(connection, 'q');
    const client = new Client('q', { connection });
    const controller = new AbortController();
    const asked = reasonOf(client.request('m', 1, { signal: controller.signal }));
    const { id, channel } = (await answerer.request(0)).value;
    controller.abort(new Error('on purpose'));
    await driver.reply([{ channel, text: replyText(id, 'late') }]);
    assert.match((await asked).message, /on purpose/);
    await until(() => connection.stats().strayReplies === 1);
    await connection.close({ timeout: 100 });
  });
});
