import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  type Answered,
  type Connection,
  connect,
  DeliveryStream,
  type MillraceError,
  PullStream,
  PushStream,
  type ReplyOptions,
  ReplyTransform,
  type Request,
  type RequestHandler,
  registerDriver,
  WorkTransform,
} from '../lib/index.ts';
import type { RequestPacket } from '../lib/packet.ts';
import { Asker } from './support/asking.ts';
import { describeEach, uniqueQueue } from './support/brokers.ts';
import { RedisServer } from './support/redis.ts';
import { closed, drain, nextTurn, numbers, push, until } from './support/streams.ts';

/** Handlers that wait for whoever calls `release`. */
function held(): { handler: RequestHandler<unknown, unknown>; requests: Request[]; release: (() => void)[] } {
  const requests: Request[] = [];
  const release: (() => void)[] = [];
  const handler = (value: unknown, request: Request): Promise<unknown> => {
    requests.push(request);
    return new Promise((resolve) => release.push(() => resolve(value)));
  };
  return { handler, requests, release };
}

describeEach('ReplyTransform', (broker) => {
  let connection: Connection;
  let queue: string;
  let asker: Asker;
  let stream: DeliveryStream;
  beforeEach(async () => {
    connection = connect(broker().url);
    queue = uniqueQueue();
    asker = await Asker.open(connection, queue);
  });
  afterEach(async () => {
    await asker.close();
    await connection.close({ timeout: 2000 });
  });

  /** Answers the requests of the queue. */
  function answer(handlers: ConstructorParameters<typeof ReplyTransform>[0], options?: ReplyOptions): ReplyTransform {
    stream = new DeliveryStream(queue, { connection, backoff: 0 });
    return stream.pipe(new ReplyTransform(handlers, { connection, ...options }));
  }

  /** Ends it in order, and gives what is left in the queue then. */
  async function left(replies: ReplyTransform): Promise<unknown[]> {
    await stream.close();
    await closed(replies);
    return drain(connection, queue);
  }

  it('answers with what handlers return, by method', async () => {
    const handlers = {
      square: (n: number) => n * n,
      later: async (n: number) => {
        await nextTurn();
        return { n };
      },
      nothing: () => {},
      nil: () => null,
      many: () => [1, 'two', null],
      text: () => 'an iterable, too',
    };
    const replies = answer(handlers);
    assert.equal(await asker.data('square', 3), 9);
    assert.deepEqual(await asker.data('later', 1), { n: 1 });
    assert.equal('data' in (await asker.ask('nothing')), false);
    assert.equal(await asker.data('nil'), null);
    assert.deepEqual(await asker.data('many'), [1, 'two', null]);
    assert.equal(await asker.data('text'), 'an iterable, too');
    assert.deepEqual(await left(replies), []);
    assert.equal(asker.replies.length, 6);
  });

  it('has one handler answer all methods, where it is given one', async () => {
    const replies = answer((value, { method }) => [method, value]);
    for (const method of ['a', '', 'constructor']) assert.deepEqual(await asker.data(method, 1), [method, 1]);
    assert.deepEqual(await left(replies), []);
  });

  it('calls a handler as a method of its object', async () => {
    const handlers = {
      isMine(): boolean {
        return this === handlers;
      },
    };
    const replies = answer(handlers);
    assert.equal(await asker.data('isMine'), true);
    assert.deepEqual(await left(replies), []);
  });

  it('tells handlers all about a request', async () => {
    const seen: Request[] = [];
    const replies = answer((_value, request) => void seen.push(request));
    const deadline = asker.driver.now() + 60_000;
    const headers = { tenant: 'a', __proto__: null };
    const packet = asker.packet('m', { a: [1] }, { deadline, headers: headers as never });
    await asker.send(packet);
    await asker.reply(packet);
    await asker.ask('n');
    const [request, bare] = seen as [Request, Request];
    assert.equal(request.id, packet.id);
    assert.equal(request.method, 'm');
    assert.equal(request.deadline, deadline);
    assert.deepEqual(request.headers, { tenant: 'a' });
    assert.ok(Object.isFrozen(request.headers));
    assert.deepEqual(request.value, { a: [1] });
    assert.equal(request.queue, queue);
    assert.equal(request.attempt, 1);
    assert.equal(request.signal.aborted, false);
    assert.equal(bare.value, undefined);
    assert.equal(bare.deadline, Number.POSITIVE_INFINITY);
    assert.deepEqual(bare.headers, {});
    assert.ok(Object.isFrozen(bare.headers));
    assert.deepEqual(await left(replies), []);
  });

  it('answers with what handlers throw or reject with, whatever that is, and tries none again', async () => {
    const thrown: [unknown, object][] = [
      [new TypeError('on purpose'), { name: 'TypeError', message: 'on purpose' }],
      [
        Object.assign(new Error('with a code'), { code: 'ENOENT' }),
        { name: 'Error', message: 'with a code', code: 'ENOENT' },
      ],
      ['a string', { name: 'Error', message: 'a string' }],
      [undefined, { name: 'Error', message: 'undefined' }],
      [null, { name: 'Error', message: 'null' }],
      [Symbol('s'), { name: 'Error', message: 'Symbol(s)' }],
      [Object.create(null), { name: 'Error', message: 'Something was thrown that has no text' }],
    ];
    let calls = 0;
    const replies = answer({
      throws: (n: number) => {
        calls += 1;
        throw thrown[n]?.[0];
      },
      rejects: (n: number) => {
        calls += 1;
        return Promise.reject(thrown[n]?.[0]);
      },
      thenable: () => ({
        // biome-ignore lint/suspicious/noThenProperty: that is what it is about
        then() {
          throw new Error('no then');
        },
      }),
    });
    for (const method of ['throws', 'rejects']) {
      for (const [index, [, error]] of thrown.entries()) assert.deepEqual(await asker.error(method, index), error);
    }
    assert.deepEqual(await asker.error('thenable'), { name: 'Error', message: 'no then' });
    assert.equal(calls, 2 * thrown.length);
    assert.deepEqual(await left(replies), []);
  });

  it('tells the stack of what was thrown only where that is asked for', async () => {
    const handlers = {
      fail: () => {
        throw new Error('on purpose');
      },
    };
    const replies = answer(handlers);
    assert.equal('stack' in (await asker.error('fail')), false);
    assert.deepEqual(await left(replies), []);
    const open = answer(handlers, { stack: true });
    const { stack } = (await asker.error('fail')) as { stack?: string };
    assert.match(stack ?? '', /on purpose\n.*reply-transform\.test/);
    assert.deepEqual(await left(open), []);
  });

  it('answers with an error what has a result that JSON cannot say', async () => {
    const circle: { self?: unknown } = {};
    circle.self = circle;
    const results: unknown[] = [
      1n,
      circle,
      () => {},
      Symbol('s'),
      {
        toJSON() {
          throw new Error('no JSON');
        },
      },
    ];
    const replies = answer({ give: (n: number) => results[n], later: async (n: number) => results[n] });
    for (const method of ['give', 'later']) {
      for (const index of results.keys()) {
        const { name, code } = await asker.error(method, index);
        assert.deepEqual([name, code], ['MillraceError', 'ERR_MILLRACE_INVALID_ITEM'], String(index));
      }
    }
    assert.deepEqual(await left(replies), []);
  });

  it('answers with an error in the place of a reply that is too large', async () => {
    const replies = answer(
      {
        give: (n: number) => 'ä'.repeat(n),
        fail: (n: number) => {
          throw new Error('x'.repeat(n));
        },
      },
      { maxBytes: 1000 },
    );
    assert.equal(((await asker.data('give', 450)) as string).length, 450);
    for (const method of ['give', 'fail']) {
      const { code, message } = await asker.error(method, 1000);
      assert.equal(code, 'ERR_MILLRACE_TOO_LARGE');
      assert.match(message, /larger than maxBytes, 1000/);
    }
    assert.deepEqual(await left(replies), []);
  });

  it('knows no methods but those it was given', async () => {
    const replies = answer({ a: () => 1, b: () => 2 });
    for (const method of ['c', '', 'constructor', 'toString', '__proto__', 'hasOwnProperty']) {
      const { name, code, message } = await asker.error(method, 1);
      assert.deepEqual([name, code], ['MillraceError', 'ERR_MILLRACE_NO_METHOD']);
      assert.equal(message, `No method '${method}': there are a, b`);
    }
    assert.deepEqual(await left(replies), []);
    const none = answer({});
    assert.equal((await asker.error('a')).message, "No method 'a': there is none");
    assert.deepEqual(await left(none), []);
  });

  it('knows a method of any name that is an own property', async () => {
    const handlers = JSON.parse('{ "__proto__": 0, "constructor": 0 }');
    for (const method of Object.keys(handlers)) {
      Object.defineProperty(handlers, method, { value: () => method, enumerable: true });
    }
    const replies = answer(handlers);
    assert.equal(await asker.data('__proto__'), '__proto__');
    assert.equal(await asker.data('constructor'), 'constructor');
    assert.deepEqual(await left(replies), []);
  });

  it('says where a reply in parts is asked for as one', async () => {
    const replies = answer({
      async *parts() {
        yield 1;
      },
      later: async () => Readable.from([1]),
    });
    for (const method of ['parts', 'later']) {
      assert.equal((await asker.error(method)).code, 'ERR_MILLRACE_NOT_SUPPORTED');
    }
    assert.deepEqual(await left(replies), []);
  });

  it('gives up a handler whose time is over: answers with that, and goes on at once', async () => {
    const aborted: unknown[] = [];
    let late: (() => void) | undefined;
    const replies = answer(
      {
        heeds: async (_value: unknown, { signal }: Request) => {
          await once(signal, 'abort');
          aborted.push(signal.reason.code);
          throw new Error('ignored');
        },
        never: (_value: unknown, { signal }: Request) => {
          signal.addEventListener('abort', () => aborted.push(signal.reason.code));
          return new Promise<string>((resolve) => {
            late = () => resolve('late');
          });
        },
        next: () => 'next',
      },
      { timeout: 30 },
    );
    const packets = ['heeds', 'never', 'next'].map((method) => asker.packet(method));
    await asker.send(...packets);
    for (const packet of packets.slice(0, 2)) {
      const reply = await asker.reply(packet);
      assert.equal(reply.success === false && reply.error.code, 'ERR_MILLRACE_TIMEOUT');
    }
    assert.deepEqual(await asker.reply(packets[2] as RequestPacket), {
      id: packets[2]?.id,
      success: true,
      data: 'next',
    });
    late?.();
    assert.deepEqual(aborted, ['ERR_MILLRACE_TIMEOUT', 'ERR_MILLRACE_TIMEOUT']);
    assert.deepEqual(await left(replies), []);
    assert.equal(asker.replies.length, 3);
  });

  it('leaves the say to a handler that settles its request itself', async () => {
    const attempts: number[] = [];
    const replies = answer({
      ack: async (_value: unknown, request: Request) => void (await request.ack()),
      throws: (_value: unknown, request: Request) => {
        void request.ack();
        throw new Error('too late');
      },
      retry: (_value: unknown, request: Request) => {
        attempts.push(request.attempt);
        if (request.attempt === 1) void request.retry();
        return request.attempt;
      },
      release: (_value: unknown, request: Request) => {
        attempts.push(request.attempt);
        if (attempts.length === 3) void request.release();
        return attempts.length;
      },
      reject: (_value: unknown, request: Request) => void request.reject('not this one'),
    });
    const silent = [asker.packet('ack'), asker.packet('throws')];
    await asker.send(...silent);
    assert.equal(await asker.data('retry'), 2);
    assert.equal(await asker.data('release'), 4);
    assert.deepEqual(attempts, [1, 2, 1, 1]);
    const dead = once(stream, 'dead');
    const { code, message } = await asker.error('reject');
    assert.deepEqual([code, message], ['ERR_MILLRACE_DEAD_LETTER', 'not this one']);
    assert.equal((await dead)[0].reason, 'not this one');
    assert.deepEqual(await left(replies), []);
    assert.equal(asker.replies.length, 3);
  });

  it('rejects what is no request, tells of it, and goes on', async () => {
    const bad = [
      1,
      'text',
      [1],
      {},
      { id: 1, method: 'm', channel: 'c' },
      { id: 'a', channel: 'c' },
      { id: 'a', method: 'm' },
      { id: 'a', method: 'm', channel: 'c', deadline: 'soon' },
      { id: 'a', method: 'm', channel: 'c', headers: 'none' },
    ];
    const replies = answer((value) => value);
    const errors: MillraceError[] = [];
    replies.on('invalid', (error) => errors.push(error));
    const reasons: string[] = [];
    stream.on('dead', ({ reason }) => reasons.push(reason.message));
    await asker.send(...bad);
    assert.equal(await asker.data('m', 1), 1);
    await until(() => reasons.length === bad.length);
    assert.deepEqual(
      errors.map(({ item }) => item),
      bad,
    );
    for (const { code } of errors) assert.equal(code, 'ERR_MILLRACE_INVALID_ITEM');
    for (const reason of reasons) assert.match(reason, /^not a request: /);
    assert.deepEqual(await left(replies), []);
    assert.equal((await connection.inspect(queue)).dead, bad.length);
  });

  it('goes on when who read its tap reads it no more', async () => {
    const replies = answer((value) => value);
    await asker.ask('m', 1);
    const reading = once(replies, 'readable');
    await asker.ask('m', 2);
    await reading;
    for (const value of [3, 4, 5]) assert.equal(((await asker.ask('m', value)) as { data?: unknown }).data, value);
  });

  it('aborts the signal of a request whose deadline passes while its handler runs, and answers nothing', async () => {
    const reasons: unknown[] = [];
    const replies = answer(async (value, { signal }) => {
      if (value === 'on time') return value;
      await once(signal, 'abort');
      reasons.push(signal.reason.code);
      throw signal.reason;
    });
    const late = asker.packet('m', 'late', { deadline: asker.driver.now() + 100 });
    await asker.send(late);
    await until(() => reasons.length === 1);
    await asker.ask('m', 'on time');
    assert.deepEqual(reasons, ['ERR_MILLRACE_TIMEOUT']);
    assert.deepEqual(asker.repliesTo(late), []);
    assert.deepEqual(await left(replies), []);
  });

  it('runs no handler for a request whose deadline has passed, and answers nothing', async () => {
    const seen: unknown[] = [];
    const now = asker.driver.now();
    const late = [
      asker.packet('m', 'at', { deadline: now }),
      asker.packet('m', 'before', { deadline: now - 1000 }),
      asker.packet('m', 'ages', { deadline: 0 }),
    ];
    await asker.send(...late);
    const replies = answer((value) => void seen.push(value));
    await asker.ask('m', 'in time', { deadline: now + 60_000 });
    assert.deepEqual(seen, ['in time']);
    assert.deepEqual(await left(replies), []);
    assert.equal(asker.replies.length, 1);
    assert.equal((await connection.inspect(queue)).dead, 0);
  });

  it('runs no handler for a request that is cancelled before it comes, also before it is sent', async () => {
    const seen: unknown[] = [];
    const [waiting, overtaken] = [asker.packet('m', 'waiting'), asker.packet('m', 'overtaken')];
    await asker.send(waiting);
    await asker.cancel(waiting);
    await asker.cancel(overtaken);
    await asker.send(overtaken);
    const replies = answer((value) => void seen.push(value));
    await asker.ask('m', 'wanted');
    assert.deepEqual(seen, ['wanted']);
    assert.deepEqual(await left(replies), []);
    assert.equal(asker.replies.length, 1);
  });

  it('runs no handler for a request that is cancelled while it waits for one', async () => {
    const { handler, requests, release } = held();
    stream = new DeliveryStream(queue, { connection });
    const deliveries: unknown[] = [];
    stream.on('data', (delivery) => deliveries.push(delivery));
    const packets = [1, 2, 3].map((n) => asker.packet('m', n));
    await asker.send(...packets);
    await until(() => deliveries.length === 3);
    const replies = new ReplyTransform(handler);
    for (const delivery of deliveries) replies.write(delivery);
    await until(() => requests.length === 1);
    await asker.cancel(packets[1] as RequestPacket);
    release[0]?.();
    await until(() => requests.length === 2);
    release[1]?.();
    replies.end();
    await asker.reply(packets[2] as RequestPacket);
    assert.deepEqual(
      requests.map(({ value }) => value),
      [1, 3],
    );
    assert.deepEqual(await left(replies), []);
    assert.equal(asker.replies.length, 2);
  });

  describe('in what it watches of a queue', () => {
    let opened: string[];
    let watched: string[];
    let known: Promise<void>;
    beforeEach(() => {
      opened = [];
      watched = [];
      known = Promise.resolve();
      const { driver } = asker;
      const cancellations = driver.cancellations.bind(driver);
      driver.cancellations = (name, onCancelled) => {
        opened.push(name);
        watched.push(name);
        const all = cancellations(name, onCancelled);
        return {
          ready: Promise.all([all.ready, known]).then(() => {}),
          has: (request) => all.has(request),
          close: () => {
            watched.splice(watched.indexOf(name), 1);
            all.close();
          },
        };
      };
    });

    it('begins once for all streams of it, and stops when it is closed', async () => {
      const replies = answer((value) => value);
      const more = new DeliveryStream(queue, { connection });
      more.pipe(replies, { end: false });
      for (const n of numbers(50)) await asker.ask('m', n);
      assert.deepEqual(opened, [queue]);
      assert.deepEqual(watched, [queue]);
      await more.close();
      assert.deepEqual(await left(replies), []);
      assert.deepEqual(opened, [queue]);
      assert.deepEqual(watched, []);
    });

    it('runs no handler before it knows what is cancelled', async () => {
      let know: (() => void) | undefined;
      known = new Promise((resolve) => {
        know = resolve;
      });
      const seen: unknown[] = [];
      const replies = answer((value) => void seen.push(value));
      const [first, second] = [asker.packet('m', 1), asker.packet('m', 2)];
      await asker.send(first, second);
      await until(() => opened.length === 1);
      await asker.cancel(first);
      for (let turns = 0; turns < 10; turns += 1) await nextTurn();
      assert.deepEqual(seen, []);
      know?.();
      await asker.reply(second);
      assert.deepEqual(seen, [2]);
      assert.deepEqual(await left(replies), []);
    });

    it('puts back what waits for that when it is destroyed', async () => {
      known = new Promise(() => {});
      const replies = answer(() => assert.fail('a handler ran'));
      await asker.send(asker.packet('m', 1));
      await until(() => opened.length === 1);
      replies.destroy();
      await closed(replies);
      assert.deepEqual(watched, []);
      await stream.close();
      assert.equal((await drain(connection, queue)).length, 1);
    });

    it('answers also where it cannot know', async () => {
      known = Promise.reject(new Error('on purpose'));
      known.catch(() => {});
      const replies = answer((value) => value);
      assert.equal(await asker.data('m', 1), 1);
      assert.deepEqual(await left(replies), []);
    });
  });

  it('aborts the signal of a request that is cancelled while its handler runs, and answers nothing', async () => {
    const { handler, requests, release } = held();
    const replies = answer((value, request) => handler(value, request), { concurrency: 4 });
    const answered: Answered[] = [];
    replies.on('data', (one) => answered.push(one));
    const packets = ['fulfils', 'throws', 'acks', 'stays'].map((value) => asker.packet('m', value));
    await asker.send(...packets);
    await until(() => requests.length === 4);
    for (const packet of packets.slice(0, 3)) await asker.cancel(packet);
    await until(() => requests.filter(({ signal }) => signal.aborted).length === 3);
    for (const { signal, value } of requests) {
      assert.equal(signal.aborted, value !== 'stays');
      if (signal.aborted) assert.equal(signal.reason.name, 'AbortError');
    }
    assert.equal((await connection.inspect(queue)).inProcess, 4);
    await requests[2]?.ack();
    for (const go of release) go();
    await asker.reply(packets[3] as RequestPacket);
    assert.deepEqual(await left(replies), []);
    assert.deepEqual(
      answered.map(({ request }) => request.value),
      ['stays'],
    );
    assert.equal(asker.replies.length, 1);
  });

  it('answers nothing to a request that was cancelled and then fails', async () => {
    const signals: AbortSignal[] = [];
    const replies = answer(async (value, { signal }) => {
      if (value === 'next') return;
      signals.push(signal);
      await once(signal, 'abort');
      throw signal.reason;
    });
    const packet = asker.packet('m');
    await asker.send(packet);
    await until(() => signals.length === 1);
    await asker.cancel(packet);
    await asker.ask('m', 'next');
    assert.deepEqual(await left(replies), []);
    assert.deepEqual(asker.repliesTo(packet), []);
  });

  it('answers 10,000 requests with nobody reading, and holds up nothing', async () => {
    const packets = numbers(10_000).map((n) => asker.packet('square', n));
    await push(connection, queue, packets);
    const replies = answer({ square: (n: number) => n * n });
    await until(() => asker.replies.length === packets.length);
    assert.equal(replies.readableLength, 0);
    const results = new Map(asker.replies.map((reply) => [reply.id, reply.success && reply.data]));
    for (const [n, { id }] of packets.entries()) assert.equal(results.get(id), n * n);
    assert.deepEqual(await left(replies), []);
  });

  it('tells who reads it what was answered', async () => {
    const replies = answer({
      square: (n: number) => n * n,
      fail: () => {
        throw new RangeError('on purpose');
      },
      settles: (_value: unknown, request: Request) => void request.ack(),
      throws: (_value: unknown, request: Request) => {
        void request.ack();
        throw new Error('too late');
      },
      big: () => 1n,
    });
    const told: [string, string, unknown][] = [];
    replies.on('data', (answered: Answered) => {
      const { request, status } = answered;
      told.push([request.method, status, answered.status === 'fulfilled' ? answered.value : answered.reason]);
    });
    await asker.send(asker.packet('settles'), asker.packet('throws'));
    for (const method of ['square', 'fail', 'big', 'none']) await asker.ask(method, 4);
    assert.deepEqual(await left(replies), []);
    assert.deepEqual(
      told.map(([method, status]) => `${method} ${status}`),
      ['square fulfilled', 'fail rejected', 'big rejected', 'none rejected'],
    );
    assert.equal(told[0]?.[2], 16);
    assert.ok(told[1]?.[2] instanceof RangeError);
    const codes = told.slice(2).map(([, , reason]) => (reason as MillraceError).code);
    assert.deepEqual(codes, ['ERR_MILLRACE_INVALID_ITEM', 'ERR_MILLRACE_NO_METHOD']);
  });

  it('starts no handler while as many answers as may run wait to be read', async () => {
    await push(
      connection,
      queue,
      numbers(50).map((n) => asker.packet('m', n)),
    );
    let started = 0;
    const replies = answer(
      (n) => {
        started += 1;
        return n;
      },
      { concurrency: 3 },
    );
    replies.pause();
    await until(() => replies.readableLength === 3);
    await push(
      connection,
      queue,
      numbers(50, 50).map((n) => asker.packet('m', n)),
    );
    assert.equal(started, 3);
    const values: unknown[] = [];
    for await (const { value } of replies) {
      values.push(value);
      assert.ok(started <= values.length + 3, `${started} started, ${values.length} read`);
      if (values.length === 100) break;
    }
    assert.deepEqual(values, numbers(100));
    await stream.close();
    await until(() => asker.replies.length === 100);
  });

  it('goes on, once it is read no more, as before', async () => {
    const replies = answer({ m: (n: number) => n }, { concurrency: 2 });
    const read: unknown[] = [];
    const listener = ({ value }: { value: unknown }): void => void read.push(value);
    replies.on('data', listener);
    for (const n of numbers(3)) await asker.ask('m', n);
    replies.off('data', listener);
    for (const n of numbers(20)) await asker.ask('m', n);
    assert.deepEqual(read, numbers(3));
    assert.deepEqual(await left(replies), []);
  });

  it('is not stopped by a listener that throws', async () => {
    const replies = answer({ m: (n: number) => n });
    replies.on('data', () => {
      throw new Error('a listener, on purpose');
    });
    const others = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    const uncaught: unknown[] = [];
    process.on('uncaughtException', (error) => uncaught.push(error.message));
    try {
      for (const n of numbers(3)) assert.equal(await asker.data('m', n), n);
    } finally {
      process.removeAllListeners('uncaughtException');
      for (const listener of others) process.on('uncaughtException', listener);
    }
    assert.deepEqual(uncaught, Array(3).fill('a listener, on purpose'));
    assert.deepEqual(await left(replies), []);
  });

  it('runs as many handlers as concurrency says, and takes nothing that none is free for', async () => {
    let running = 0;
    let most = 0;
    const replies = answer(
      async (value) => {
        running += 1;
        most = Math.max(most, running);
        assert.ok(replies.writableLength <= 1);
        for (let turns = 0; turns < Number(value) % 5; turns += 1) await nextTurn();
        running -= 1;
      },
      { concurrency: 7 },
    );
    await asker.send(...numbers(100).map((n) => asker.packet('m', n)));
    await until(() => asker.replies.length === 100);
    assert.equal(most, 7);
    assert.ok(asker.replies.every(({ success }) => success));
    assert.deepEqual(await left(replies), []);
  });

  it('is the end of a pipeline, which is done when all is answered', async () => {
    const { handler, requests, release } = held();
    stream = new DeliveryStream(queue, { connection });
    const replies = new ReplyTransform(handler, { concurrency: 3 });
    let isDone = false;
    const running = pipeline(stream, replies).then(() => {
      isDone = true;
    });
    await asker.send(...numbers(5).map((n) => asker.packet('m', n)));
    await until(() => requests.length === 3);
    const closing = stream.close();
    await once(stream, 'end');
    release[0]?.();
    release[2]?.();
    await nextTurn();
    assert.equal(isDone, false);
    release[1]?.();
    await running;
    await closing;
    await closed(replies);
    assert.deepEqual(
      (await drain(connection, queue)).map((packet) => (packet as RequestPacket).parameters),
      [3, 4],
    );
    await until(() => asker.replies.length === 3);
  });

  it('stands in the middle of a pipeline, too', async () => {
    stream = new DeliveryStream(queue, { connection });
    const told: unknown[] = [];
    const sink = new Writable({
      objectMode: true,
      write({ value }, _encoding, callback) {
        told.push(value);
        if (told.length === 5) void stream.close();
        setImmediate(callback);
      },
    });
    await asker.send(...numbers(5).map((n) => asker.packet('square', n)));
    await pipeline(stream, new ReplyTransform({ square: (n: number) => n * n }), sink);
    assert.deepEqual(told, [0, 1, 4, 9, 16]);
    assert.deepEqual(await drain(connection, queue), []);
  });

  it('takes what was made of deliveries, and answers under their receipts', async () => {
    stream = new DeliveryStream(queue, { connection });
    const translate = new WorkTransform<{ ask: unknown[] }, RequestPacket>(({ ask }) => {
      const [method, parameters] = ask;
      return asker.packet(String(method), parameters, { id: 'translated' });
    });
    const replies = stream.pipe(translate).pipe(new ReplyTransform({ square: (n: number) => n * n }));
    await asker.send({ ask: ['square', 5] });
    await until(() => asker.replies.length === 1);
    assert.deepEqual(asker.replies, [{ id: 'translated', success: true, data: 25 }]);
    assert.deepEqual(await left(replies), []);
  });

  it('answers the requests of two queues', async () => {
    const other = await Asker.open(connection, uniqueQueue());
    try {
      const { handler, requests, release } = held();
      const replies = answer(handler, { concurrency: 2 });
      const more = new DeliveryStream(other.queue, { connection });
      more.pipe(replies);
      const id = 'the same';
      const [here, there] = [asker.packet('m', 'here', { id }), other.packet('m', 'there', { id })];
      await asker.send(here);
      await other.send({ ...there, channel: here.channel });
      await until(() => requests.length === 2);
      await other.cancel({ ...there, channel: here.channel });
      await until(() => requests.some(({ signal }) => signal.aborted));
      for (const { queue: from, signal } of requests) assert.equal(signal.aborted, from === other.queue);
      for (const go of release) go();
      assert.deepEqual(await asker.reply(here), { id, success: true, data: 'here' });
      await more.close();
      await left(replies);
      assert.equal(asker.replies.length, 1);
    } finally {
      await other.close();
    }
  });

  it('aborts the handlers that run when it is destroyed, and puts back what they had', async () => {
    const { handler, requests, release } = held();
    const replies = answer(handler, { concurrency: 2 });
    await asker.send(asker.packet('m', 1), asker.packet('m', 2));
    await until(() => requests.length === 2);
    replies.destroy();
    await closed(replies);
    for (const { signal } of requests) assert.equal(signal.reason.code, 'ERR_MILLRACE_CLOSED');
    for (const go of release) go();
    await stream.close();
    assert.deepEqual(
      (await drain(connection, queue)).map((packet) => (packet as RequestPacket).parameters),
      [1, 2],
    );
    assert.deepEqual(asker.replies, []);
  });

  it('is destroyed when its signal is aborted', async () => {
    const { handler, requests } = held();
    const controller = new AbortController();
    const replies = answer(handler, { signal: controller.signal });
    const failed = once(replies, 'error');
    await asker.send(asker.packet('m', 1));
    await until(() => requests.length === 1);
    controller.abort();
    assert.equal((await failed)[0].name, 'AbortError');
    assert.equal(requests[0]?.signal.reason.code, 'ERR_MILLRACE_CLOSED');
    await stream.close();
    assert.equal((await drain(connection, queue)).length, 1);
  });

  it('does nothing about what is not held any more', async () => {
    stream = new DeliveryStream(queue, { connection });
    const seen: unknown[] = [];
    const replies = new ReplyTransform((value) => void seen.push(value));
    replies.on('invalid', assert.fail);
    await asker.send(asker.packet('m', 1), { no: 'request' }, asker.packet('m', 2));
    const deliveries: Request[] = [];
    stream.on('data', (delivery) => deliveries.push(delivery));
    await until(() => deliveries.length === 3);
    for (const delivery of deliveries.slice(0, 2)) await delivery.ack();
    for (const delivery of deliveries) replies.write(delivery);
    await replies.close();
    assert.deepEqual(seen, [2]);
    await stream.close();
    assert.equal(asker.replies.length, 1);
  });

  it('finishes when the broker has answered to all that was settled', async () => {
    const { driver } = asker;
    const consumer = driver.consumer.bind(driver);
    const unanswered: (() => void)[] = [];
    driver.consumer = (name, options) => {
      const made = consumer(name, options);
      const settle = made.settle.bind(made);
      made.settle = async (held, outcome) => {
        const done = await settle(held, outcome);
        await new Promise<void>((resolve) => unanswered.push(resolve));
        return done;
      };
      return made;
    };
    const packets = [asker.packet('m'), asker.packet('m', 1, { deadline: 0 }), { no: 'request' }];
    for (const [index, packet] of packets.entries()) {
      const replies = answer(() => {});
      let isFinished = false;
      replies.on('finish', () => {
        isFinished = true;
      });
      await asker.send(packet);
      await until(() => unanswered.length === index + 1);
      const closing = stream.close();
      await once(stream, 'end');
      for (let turns = 0; turns < 10; turns += 1) await nextTurn();
      assert.equal(isFinished, false);
      unanswered[index]?.();
      await closing;
      await closed(replies);
      assert.equal(isFinished, true);
    }
  });

  it('ends, and all is answered, behind await using', async () => {
    stream = new DeliveryStream(queue, { connection });
    await asker.send(asker.packet('m', 1), asker.packet('m', 2));
    const deliveries: unknown[] = [];
    stream.on('data', (delivery) => deliveries.push(delivery));
    await until(() => deliveries.length === 2);
    const seen: unknown[] = [];
    {
      await using replies = new ReplyTransform(async (value) => {
        await nextTurn();
        seen.push(value);
      });
      for (const delivery of deliveries) replies.write(delivery);
    }
    assert.deepEqual(seen, [1, 2]);
    await stream.close();
    assert.deepEqual(await drain(connection, queue), []);
    await until(() => asker.replies.length === 2);
  });

  it('gives up, when the time of a close is over, what still runs', async () => {
    const { handler, requests } = held();
    const replies = answer(handler);
    await asker.send(asker.packet('m', 1));
    await until(() => requests.length === 1);
    stream.unpipe(replies);
    await replies.close({ timeout: 40 });
    assert.equal(requests[0]?.signal.reason.code, 'ERR_MILLRACE_CLOSED');
    await stream.close();
    assert.equal((await drain(connection, queue)).length, 1);
  });

  describe('with plain requests', () => {
    it('answers those of a PullStream', async () => {
      const pull = new PullStream(queue, { connection });
      const replies = new ReplyTransform(
        {
          square: (n: number) => n * n,
          fail: async () => {
            throw new Error('on purpose');
          },
        },
        { connection },
      );
      const ready = once(replies, 'ready');
      const running = pipeline(pull, replies);
      const packets = numbers(1000).map((n) => asker.packet('square', n));
      await push(connection, queue, packets);
      await until(() => asker.replies.length === 1000);
      await ready;
      const results = new Map(asker.replies.map((reply) => [reply.id, reply.success && reply.data]));
      for (const [n, { id }] of packets.entries()) assert.equal(results.get(id), n * n);
      assert.deepEqual(await asker.error('fail'), { name: 'Error', message: 'on purpose' });
      assert.equal((await asker.error('toString')).code, 'ERR_MILLRACE_NO_METHOD');
      await pull.close();
      await running;
      await closed(replies);
    });

    it('answers those of any source, and ends when the broker has the replies', async () => {
      const answered: unknown[] = [];
      const packets = numbers(3000).map((n) => asker.packet('double', n));
      await pipeline(
        Readable.from(packets),
        new ReplyTransform({ double: async (n: number) => n * 2 }, { connection, concurrency: 100 }),
        new Writable({
          objectMode: true,
          write({ request, value }: Extract<Answered, { status: 'fulfilled' }>, _encoding, callback) {
            answered.push(value);
            assert.equal(request.queue, '');
            callback();
          },
        }),
      );
      assert.deepEqual(
        (answered as number[]).sort((a, b) => a - b),
        numbers(3000).map((n) => n * 2),
      );
      await until(() => asker.replies.length === 3000);
    });

    it('drops what is no request, tells of it, and goes on', async () => {
      const replies = new ReplyTransform((value) => value, { connection });
      const items: unknown[] = [];
      replies.on('invalid', ({ code, item }) => items.push([code, item]));
      const packet = asker.packet('m', 1);
      for (const one of ['text', { id: 'a' }, packet]) replies.write(one);
      await replies.close();
      assert.deepEqual(items, [
        ['ERR_MILLRACE_INVALID_ITEM', 'text'],
        ['ERR_MILLRACE_INVALID_ITEM', { id: 'a' }],
      ]);
      assert.deepEqual(await asker.reply(packet), { id: packet.id, success: true, data: 1 });
    });

    it('runs no handler for one whose deadline has passed', async () => {
      const seen: unknown[] = [];
      const replies = new ReplyTransform((value) => void seen.push(value), { connection });
      const now = asker.driver.now();
      replies.write(asker.packet('m', 'late', { deadline: now - 1 }));
      replies.write(asker.packet('m', 'in time', { deadline: now + 60_000 }));
      await replies.close();
      assert.deepEqual(seen, ['in time']);
    });

    it('settles them by the verbs, as far as that is possible', async () => {
      const done: [string, boolean][] = [];
      const note =
        (verb: 'ack' | 'retry' | 'reject' | 'release') =>
        async (_value: unknown, request: Request): Promise<void> => {
          done.push([verb, await (verb === 'reject' ? request.reject('not this one') : request[verb]())]);
        };
      const handlers = {
        ack: note('ack'),
        retry: note('retry'),
        reject: note('reject'),
        release: note('release'),
        hop: async (value: unknown, request: Request): Promise<void> => {
          const other = new PushStream(queue, { connection });
          await other.send(request.with({ hopped: value }));
          await other.close();
        },
      };
      const replies = new ReplyTransform(handlers, { connection });
      const packets = [...Object.keys(handlers)].map((method) => asker.packet(method, 1));
      for (const packet of packets) replies.write(packet);
      await replies.close();
      assert.deepEqual(done, [
        ['ack', true],
        ['retry', true],
        ['reject', true],
        ['release', false],
      ]);
      await until(() => asker.replies.length === 2);
      const [retried, rejected] = packets.slice(1, 3).map((packet) => asker.repliesTo(packet)[0]);
      for (const reply of [retried, rejected]) {
        assert.equal(reply?.success === false && reply.error.code, 'ERR_MILLRACE_DEAD_LETTER');
      }
      assert.deepEqual(await drain(connection, queue), [{ hopped: 1 }]);
    });

    it('starts no handler, also when it is ended, while answers wait to be read', async () => {
      let started = 0;
      const count = async (value: unknown): Promise<unknown> => {
        started += 1;
        return value;
      };
      const replies = new ReplyTransform(count, { connection, concurrency: 3 });
      replies.pause();
      for (const n of numbers(50)) replies.write(asker.packet('m', n));
      replies.end();
      await until(() => replies.readableLength >= 3);
      for (let turns = 0; turns < 10; turns += 1) await nextTurn();
      // What is started before the third answer is there does not stop for it.
      assert.ok(started <= 6, `${started} started`);
      const values: unknown[] = [];
      for await (const { value } of replies) values.push(value);
      assert.deepEqual(values, numbers(50));
    });

    it('takes no more while more than a thousand replies are on their way', async () => {
      const { driver } = asker;
      const reply = driver.reply.bind(driver);
      let go: (() => void) | undefined;
      const gone = new Promise<void>((resolve) => {
        go = resolve;
      });
      driver.reply = async (replies) => {
        await gone;
        await reply(replies);
      };
      let started = 0;
      const count = (): void => {
        started += 1;
      };
      const replies = new ReplyTransform(count, { connection });
      for (const n of numbers(3000)) replies.write(asker.packet('m', n));
      await until(() => started >= 1024);
      for (let turns = 0; turns < 10; turns += 1) await nextTurn();
      assert.equal(started, 1024);
      go?.();
      await replies.close();
      await until(() => asker.replies.length === 3000);
    });

    it('sends, when it is destroyed, what is answered', async () => {
      const { driver } = asker;
      const reply = driver.reply.bind(driver);
      let sent = 0;
      driver.reply = async (replies) => {
        for (let turns = 0; turns < 10; turns += 1) await nextTurn();
        await reply(replies);
        sent += replies.length;
      };
      const replies = new ReplyTransform((value) => value, { connection });
      const packet = asker.packet('m', 1);
      replies.write(packet);
      await once(replies, 'drain');
      replies.destroy();
      await closed(replies);
      assert.equal(sent, 1);
      await asker.reply(packet);
    });

    it('fails where the broker refuses their replies', async () => {
      const refusal = new Error('refused, on purpose');
      asker.driver.reply = () => Promise.reject(refusal);
      const replies = new ReplyTransform((value) => value, { connection });
      const failed = once(replies, 'error');
      replies.write(asker.packet('m', 1));
      assert.deepEqual(await failed, [refusal]);
    });

    it('is closed with its connection, and answers before that', async () => {
      const own = connect(broker().url);
      const { handler, requests, release } = held();
      const replies = new ReplyTransform(handler, { connection: own });
      const packet = asker.packet('m', 'answer');
      replies.write(packet);
      await until(() => requests.length === 1);
      const closing = own.close();
      release[0]?.();
      await closing;
      assert.equal(replies.closed, true);
      assert.deepEqual(await asker.reply(packet), { id: packet.id, success: true, data: 'answer' });
    });

    it('aborts their handlers when it is destroyed', async () => {
      const { handler, requests } = held();
      const replies = new ReplyTransform(handler, { connection });
      replies.write(asker.packet('m'));
      await until(() => requests.length === 1);
      replies.destroy();
      await closed(replies);
      assert.equal(requests[0]?.signal.reason.code, 'ERR_MILLRACE_CLOSED');
    });
  });
});

describe('ReplyTransform', () => {
  it('sends each reply alone to a channel that is not ours', async () => {
    await using server = await RedisServer.start();
    await using connection = connect(server.url);
    const queue = uniqueQueue();
    const subscriber = server.client();
    const messages: string[] = [];
    subscriber.on('message', (_channel, message) => messages.push(message));
    await subscriber.subscribe('foreign');
    const packet = (n: number): object => ({ id: String(n), method: 'square', parameters: n, channel: 'foreign' });
    await push(connection, queue, numbers(20).map(packet));
    const stream = new DeliveryStream(queue, { connection });
    const running = pipeline(stream, new ReplyTransform({ square: (n: number) => n * n }));
    await until(() => messages.length === 20);
    const expected = numbers(20).map((n) => `{"id":"${n}","success":true,"data":${n * n}}`);
    assert.deepEqual(messages, expected);
    await stream.close();
    await running;
    const plain = new ReplyTransform({ square: (n: number) => n * n }, { connection });
    for (const n of numbers(20)) plain.write(packet(n));
    await plain.close();
    await until(() => messages.length === 40);
    assert.deepEqual(messages.slice(20), expected);
  });

  it('fails with what its connection fails with, where it needs one', async () => {
    registerDriver('test-refuses', {
      supports: { requests: true } as never,
      connect: () => Promise.reject(new Error('on purpose')),
    });
    const replies = new ReplyTransform(() => {}, { connection: 'test-refuses:' });
    replies.write({ id: 'a', method: 'm', channel: 'c' });
    const [error] = await once(replies, 'error');
    assert.match(error.message, /on purpose/);
    await assert.rejects(replies.close(), /on purpose/);
  });

  it('checks its arguments', () => {
    const connection = 'memory:';
    const make = (handlers: unknown, options?: object) => () =>
      new ReplyTransform(handlers as never, { connection, ...options });
    for (const handlers of [undefined, null, 'a', { a: 1 }]) {
      assert.throws(make(handlers), { code: 'ERR_INVALID_ARG_TYPE' });
    }
    assert.throws(
      make(() => {}, { concurrency: 0 }),
      { code: 'ERR_OUT_OF_RANGE' },
    );
    assert.throws(
      make(() => {}, { timeout: 0 }),
      { code: 'ERR_OUT_OF_RANGE' },
    );
    assert.throws(
      make(() => {}, { maxBytes: 0 }),
      { code: 'ERR_OUT_OF_RANGE' },
    );
    assert.throws(
      make(() => {}, { stack: 'yes' }),
      { code: 'ERR_INVALID_ARG_TYPE' },
    );
    assert.throws(
      make(() => {}, { signal: {} }),
      { code: 'ERR_INVALID_ARG_TYPE' },
    );
    assert.throws(
      make(() => {}, { connection: 1 }),
      { code: 'ERR_INVALID_ARG_TYPE' },
    );
    assert.throws(
      make(() => {}, { codec: 'json' }),
      { code: 'ERR_INVALID_ARG_VALUE' },
    );
  });

  it('is refused where the broker knows no requests', () => {
    const connecting = (): never => assert.fail('it was asked to connect');
    registerDriver('test-no-requests', { supports: { requests: false } as never, connect: connecting });
    assert.throws(() => new ReplyTransform({}, { connection: 'test-no-requests:' }), {
      code: 'ERR_MILLRACE_NOT_SUPPORTED',
    });
  });

  it('holds its handlers to a contract', () => {
    interface Maths {
      square(n: number): number;
      spell(n: number): string;
    }
    const connection = 'memory:';
    new ReplyTransform<Maths>({ square: (n) => n * n, spell: async (n, { id }) => `${id} ${n}` }, { connection });
    // @ts-expect-error a result of another type
    new ReplyTransform<Maths>({ square: (n) => String(n), spell: String }, { connection });
    // @ts-expect-error one is missing
    new ReplyTransform<Maths>({ square: (n) => n }, { connection });
  });
});
