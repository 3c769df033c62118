import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import {
  Client,
  type Connection,
  connect,
  DeliveryStream,
  type MillraceError,
  type PartStream,
  PullStream,
  ReplyTransform,
  type Request,
  type Service,
  serve,
} from '../lib/index.ts';
import { type PartPacket, packetsIn, type RequestPacket } from '../lib/packet.ts';
import { memory } from '../lib/testing.ts';
import { Answerer, driverUnder } from './support/answering.ts';
import { describeEach, uniqueQueue } from './support/brokers.ts';
import { TcpProxy } from './support/proxy.ts';
import { RedisServer } from './support/redis.ts';
import { closed, nextTurn, numbers, push, until } from './support/streams.ts';

/** What a stream gives before it ends or fails, and what it fails with. */
async function gather(stream: PartStream<unknown>): Promise<{ parts: unknown[]; error?: MillraceError }> {
  const parts: unknown[] = [];
  try {
    for await (const part of stream) parts.push(part);
    return { parts };
  } catch (error) {
    return { parts, error: error as MillraceError };
  }
}

/** Counts for ever, and says how far it is, and whether it was ended. */
class Counter {
  given = 0;
  ended = 0;
  signal: AbortSignal | undefined;

  readonly count = async function* (this: Counter, _value: unknown, { signal }: Request): AsyncGenerator<number> {
    this.signal = signal;
    try {
      for (; ; this.given += 1) yield this.given;
    } finally {
      this.ended += 1;
    }
  }.bind(this);
}

/** Resolves when a number has stayed the same for many turns: what was to come has come. */
async function settled(value: () => number): Promise<number> {
  for (let last = value(), turns = 0; turns < 200; turns += 1) {
    await nextTurn();
    if (value() !== last) turns = 0;
    last = value();
  }
  return value();
}

/** The next error that nobody catches, which is the test's own. */
async function uncaught(): Promise<unknown> {
  const listeners = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  const error = await new Promise((resolve) => process.once('uncaughtException', resolve));
  for (const listener of listeners) process.on('uncaughtException', listener);
  return error;
}

async function* upTo(end: number): AsyncGenerator<number> {
  for (let n = 0; n < end; n += 1) yield n;
}

describeEach('PartStream', (broker) => {
  let connection: Connection;
  let queue: string;
  let client: Client;
  const services: Service[] = [];
  beforeEach(() => {
    connection = connect(broker().url);
    queue = uniqueQueue();
    client = new Client(queue, { connection });
  });
  afterEach(async () => {
    await client.close();
    await Promise.all(services.splice(0).map((service) => service.close({ timeout: 100 }).catch(() => {})));
    await connection.close({ timeout: 500 });
  });

  function answer(handlers: object, options: object = {}): Service {
    const service = serve(queue, handlers as never, { connection, concurrency: 10, ...options });
    services.push(service);
    return service;
  }

  describe('gives', () => {
    it('the parts of a generator, in order, to its end', async () => {
      answer({ upTo });
      assert.deepEqual(await gather(client.requestStream('upTo', 1000)), { parts: numbers(1000) });
      assert.equal(connection.stats().strayReplies, 0);
    });

    it('no part, where there is none', async () => {
      answer({ upTo });
      assert.deepEqual(await gather(client.requestStream('upTo', 0)), { parts: [] });
    });

    it('the parts of a stream, and of what a promise gives', async () => {
      answer({ stream: () => Readable.from(['a', 'b']), later: async () => upTo(3) });
      assert.deepEqual(await gather(client.requestStream('stream', 1)), { parts: ['a', 'b'] });
      assert.deepEqual(await gather(client.requestStream('later', 1)), { parts: [0, 1, 2] });
    });

    it('a reply that comes at once as the only part: arrays and strings are values', async () => {
      answer({ array: () => [1, 2], text: () => 'abc' });
      assert.deepEqual(await gather(client.requestStream('array', 1)), { parts: [[1, 2]] });
      assert.deepEqual(await gather(client.requestStream('text', 1)), { parts: ['abc'] });
    });

    it('many at a time, each its own', async () => {
      answer({
        async *three(name: string) {
          for (const n of numbers(3)) yield `${name}${n}`;
        },
      });
      const streams = numbers(100).map((n) => gather(client.requestStream('three', `${n}:`)));
      for (const [n, { parts }] of (await Promise.all(streams)).entries()) {
        assert.deepEqual(parts, [`${n}:0`, `${n}:1`, `${n}:2`]);
      }
    });

    it("a handler what every handler gets, and the stream's tap how many parts there were", async () => {
      const replies = new ReplyTransform(
        {
          async *told(value: unknown, { id, method, headers }: Request) {
            yield { value, method, headers, hasId: id !== '' };
          },
        },
        { connection },
      );
      new DeliveryStream(queue, { connection }).pipe(replies);
      const answered = once(replies, 'data');
      const { parts } = await gather(client.requestStream('told', 7, { headers: { a: 'b' } }));
      assert.deepEqual(parts, [{ value: 7, method: 'told', headers: { a: 'b' }, hasId: true }]);
      const [{ status, value }] = await answered;
      assert.deepEqual({ status, value }, { status: 'fulfilled', value: 1 });
    });

    it('the parts of requests that come as plain values, too', async () => {
      const replies = new ReplyTransform({ upTo }, { connection });
      const pulled = new PullStream(queue, { connection });
      pulled.pipe(replies);
      assert.deepEqual(await gather(client.requestStream('upTo', 50)), { parts: numbers(50) });
      await pulled.close();
      await closed(replies);
    });
  });

  describe('holds the handler back', () => {
    it('at most 16 parts ahead of who reads, and lets it go on', async () => {
      const counter = new Counter();
      answer({ count: counter.count });
      const stream = client.requestStream('count', 1);
      const reader = stream[Symbol.asyncIterator]();
      for (let read = 0; read < 100; read += 1) {
        assert.equal((await reader.next()).value, read);
        assert.ok(counter.given <= read + 1 + 16, `${counter.given} given, ${read + 1} read`);
      }
      assert.ok((await settled(() => counter.given)) <= 116);
      stream.destroy();
      await until(() => counter.ended === 1);
    });

    it('while nobody reads at all', async () => {
      const counter = new Counter();
      answer({ count: counter.count });
      const stream = client.requestStream('count', 1);
      await until(() => counter.given > 0);
      assert.ok((await settled(() => counter.given)) <= 16);
      stream.destroy();
      await until(() => counter.ended === 1);
    });
  });

  describe('ends the iterator of the handler', () => {
    it('when it is destroyed, and aborts its signal', async () => {
      const counter = new Counter();
      answer({ count: counter.count });
      const stream = client.requestStream('count', 1);
      await once(stream, 'readable');
      stream.destroy();
      await until(() => counter.ended === 1);
      assert.equal(counter.signal?.reason.name, 'AbortError');
      await until(async () => (await connection.inspect(queue)).inProcess === 0);
    });

    it('when its loop is left', async () => {
      const counter = new Counter();
      answer({ count: counter.count });
      for await (const part of client.requestStream('count', 1)) if (part === 40) break;
      await until(() => counter.ended === 1);
    });

    it('when its signal is aborted', async () => {
      const counter = new Counter();
      const controller = new AbortController();
      answer({ count: counter.count });
      const stream = client.requestStream('count', 1, { signal: controller.signal });
      await once(stream, 'readable');
      controller.abort(new Error('enough'));
      assert.match(String((await gather(stream)).error), /enough/);
      await until(() => counter.ended === 1);
    });

    it('when its client is closed', async () => {
      const counter = new Counter();
      answer({ count: counter.count });
      const stream = client.requestStream('count', 1);
      const failed = once(stream, 'error');
      await once(stream, 'readable');
      await client.close();
      assert.equal((await failed)[0].code, 'ERR_MILLRACE_CLOSED');
      await until(() => counter.ended === 1);
    });

    it('which is a stream that waits, and was not begun', async () => {
      const source = new Readable({ objectMode: true, read() {} });
      let isAsked = false;
      answer({
        wait: () => {
          isAsked = true;
          return source;
        },
      });
      const stream = client.requestStream('wait', 1);
      await until(() => isAsked);
      stream.destroy();
      await closed(source);
    });

    it('where the requester takes one reply only, and is told so', async () => {
      const source = Readable.from([1]);
      answer({ stream: () => source });
      await assert.rejects(client.request('stream', 1), /requestStream/);
      await closed(source);
    });
  });

  describe('ends what a handler gives', () => {
    it('too late: its time was over', async () => {
      const source = Readable.from([1]);
      answer(
        {
          late: async (_value: unknown, { signal }: Request) => {
            await once(signal, 'abort');
            return source;
          },
        },
        { timeout: 50 },
      );
      assert.equal((await gather(client.requestStream('late', 1))).error?.remote?.code, 'ERR_MILLRACE_TIMEOUT');
      await closed(source);
    });

    it('and fails as it is ended', async () => {
      const source = new Readable({ objectMode: true, destroy: (_error, callback) => callback(new Error('failing')) });
      answer({ stream: () => source });
      await assert.rejects(client.request('stream', 1), /requestStream/);
      await until(() => source.closed);
      assert.match(String(source.errored), /failing/);
    });

    it('though its return() throws', async () => {
      let isDestroyed = false;
      const iterator = {
        next: async () => ({ done: false, value: 1 }),
        return() {
          throw new Error('no');
        },
      };
      const destroy = (): void => {
        isDestroyed = true;
      };
      answer({ odd: () => ({ [Symbol.asyncIterator]: () => iterator, destroy }) });
      const stream = client.requestStream('odd', 1);
      await once(stream, 'readable');
      stream.destroy();
      await until(() => isDestroyed);
    });

    it('when that settles its request itself', async () => {
      let ended = 0;
      answer({
        async *settle(verb: 'ack' | 'reject', request: Request) {
          try {
            yield 1;
            void request[verb]('enough');
            for (;;) yield 2;
          } finally {
            ended += 1;
          }
        },
      });
      for (const [verb, code] of [
        ['reject', 'ERR_MILLRACE_DEAD_LETTER'],
        ['ack', 'ERR_MILLRACE_INTERRUPTED'],
      ]) {
        assert.equal((await gather(client.requestStream('settle', verb))).error?.code, code);
      }
      await until(() => ended === 2);
    });
  });

  it('takes an iterator that gives its results at once', async () => {
    const results = [
      { done: false, value: 1 },
      { done: true, value: undefined },
    ];
    answer({ odd: () => ({ [Symbol.asyncIterator]: () => ({ next: () => results.shift() }) }) });
    assert.deepEqual(await gather(client.requestStream('odd', 1)), { parts: [1] });
  });

  describe('fails', () => {
    it('when the handler gives what nobody can look at', async () => {
      answer({
        async odd() {
          return {
            get [Symbol.asyncIterator]() {
              throw new Error('odd');
            },
          };
        },
      });
      assert.equal((await gather(client.requestStream('odd', 1))).error?.remote?.message, 'odd');
    });

    it('when its signal is aborted before it is read, though all parts have come', async () => {
      const controller = new AbortController();
      answer({ upTo });
      const { signal } = controller;
      const stream = client.requestStream('upTo', 3, { signal });
      await until(async () => (await connection.inspect(queue)).settled === 1);
      await settled(() => connection.stats().clients);
      controller.abort(new Error('enough'));
      const { parts, error } = await gather(stream);
      assert.deepEqual(parts, []);
      assert.match(String(error), /enough/);
    });

    it('behind the parts that came before, when the handler throws', async () => {
      answer({
        async *break() {
          yield* upTo(5);
          throw Object.assign(new Error('broken'), { code: 'E_BROKEN' });
        },
      });
      const { parts, error } = await gather(client.requestStream('break', 1));
      assert.deepEqual(parts, numbers(5));
      assert.equal(error?.code, 'ERR_MILLRACE_REMOTE');
      assert.deepEqual(error?.remote, { name: 'Error', message: 'broken', code: 'E_BROKEN' });
    });

    it('where there is no such method, or the value has no JSON', async () => {
      answer({ upTo });
      assert.equal((await gather(client.requestStream('other', 1))).error?.code, 'ERR_MILLRACE_NO_METHOD');
      assert.equal((await gather(client.requestStream('upTo', 1n))).error?.code, 'ERR_MILLRACE_INVALID_ITEM');
      assert.deepEqual(await gather(client.requestStream('upTo', 1)), { parts: [0] });
    });

    it('at once where its signal is aborted already', async () => {
      const stream = client.requestStream('any', 1, { signal: AbortSignal.abort(new Error('before')) });
      assert.match(String((await gather(stream)).error), /before/);
    });

    it('where a part is nothing, has no JSON, or is too large', async () => {
      const parts: Record<string, unknown> = { nothing: null, undefined: undefined, big: 1n, large: 'x'.repeat(2000) };
      const service = answer(
        {
          async *say(what: string) {
            yield 'first';
            yield parts[what];
          },
        },
        { maxBytes: 1000 },
      );
      await service.ready;
      for (const [what, code] of [
        ['nothing', 'INVALID_ITEM'],
        ['undefined', 'INVALID_ITEM'],
        ['big', 'INVALID_ITEM'],
        ['large', 'TOO_LARGE'],
      ] as const) {
        const { parts: before, error } = await gather(client.requestStream('say', what));
        assert.deepEqual(before, ['first']);
        assert.equal(error?.remote?.code, `ERR_MILLRACE_${code}`);
      }
    });

    it('where the reply is nothing', async () => {
      answer({ nothing: () => null });
      assert.equal((await gather(client.requestStream('nothing', 1))).error?.code, 'ERR_MILLRACE_INVALID_ITEM');
    });

    it('when the first part does not come within the timeout', async () => {
      const counter = new Counter();
      answer({
        async *wait(value: unknown, request: Request) {
          await once(request.signal, 'abort');
          yield* counter.count(value, request);
        },
      });
      const { parts, error } = await gather(client.requestStream('wait', 1, { timeout: 100 }));
      assert.deepEqual(parts, []);
      assert.equal(error?.code, 'ERR_MILLRACE_TIMEOUT');
    });

    it('when the next part does not come within the idleTimeout, and ends the handler', async () => {
      let aborted = false;
      answer({
        async *stop(_value: unknown, { signal }: Request) {
          yield* upTo(3);
          await once(signal, 'abort');
          aborted = true;
        },
      });
      const { parts, error } = await gather(client.requestStream('stop', 1, { idleTimeout: 100 }));
      assert.deepEqual(parts, numbers(3));
      assert.equal(error?.code, 'ERR_MILLRACE_TIMEOUT');
      assert.match(String(error), /100 ms/);
      await until(() => aborted);
    });

    it('when the handler takes longer for a part than it may, and not while it waits for its reader', async () => {
      let isSlow = false;
      answer(
        {
          async *say(_value: unknown, { signal }: Request) {
            yield* upTo(20);
            isSlow = true;
            await once(signal, 'abort');
          },
        },
        { timeout: 200 },
      );
      const stream = client.requestStream('say', 1);
      await once(stream, 'readable');
      // The handler's time would be over long before it goes on.
      await new Promise((resolve) => setTimeout(resolve, 300));
      assert.ok(!isSlow);
      const { parts, error } = await gather(stream);
      assert.deepEqual(parts, numbers(20));
      assert.equal(error?.remote?.code, 'ERR_MILLRACE_TIMEOUT');
    });

    it('to be asked again, when its worker is closed after the first part', async () => {
      const counter = new Counter();
      const service = answer({ count: counter.count });
      const stream = client.requestStream('count', 1);
      await once(stream, 'readable');
      await service.close({ timeout: 50 });
      const { error } = await gather(stream);
      assert.equal(error?.code, 'ERR_MILLRACE_INTERRUPTED');
      assert.equal(error?.retryable, true);
      await until(() => counter.ended === 1);
      const another = new Counter();
      answer({ count: another.count });
      // Nobody begins on it again.
      await until(async () => (await connection.inspect(queue)).settled === 1);
      assert.equal(another.signal, undefined);
    });
  });

  it('is told by another worker, when the first was closed before its first part', async () => {
    let waiting = false;
    const service = answer({
      async *upTo(_value: unknown, { signal }: Request) {
        waiting = true;
        await once(signal, 'abort');
        yield 'too late';
      },
    });
    const gathered = gather(client.requestStream('upTo', 3));
    await until(() => waiting);
    await service.close({ timeout: 50 });
    answer({ upTo });
    assert.deepEqual(await gathered, { parts: numbers(3) });
  });

  it('goes on beyond the deadline of its request, and that of its handler with it', async () => {
    let deadline = 0;
    const steps: (() => void)[] = [];
    answer({
      async *slow(_value: unknown, request: Request) {
        deadline = request.deadline;
        assert.ok(!request.signal.aborted);
        yield 'first';
        await new Promise<void>((resolve) => steps.push(resolve));
        yield { isLater: request.deadline > deadline, isAborted: request.signal.aborted };
      },
    });
    const reader = client.requestStream('slow', 1, { timeout: 500 })[Symbol.asyncIterator]();
    assert.equal((await reader.next()).value, 'first');
    const driver = await driverUnder(connection);
    await until(() => driver.now() > deadline + 50);
    steps[0]?.();
    assert.deepEqual((await reader.next()).value, { isLater: true, isAborted: false });
    assert.equal((await reader.next()).done, true);
  });

  it('keeps its connection open until it is read, within the time of its close', async () => {
    answer({ upTo });
    const asking = connect(broker().url);
    const other = new Client(queue, { connection: asking });
    const stream = other.requestStream('upTo', 40);
    await once(stream, 'readable');
    const closing = asking.close();
    assert.deepEqual(await gather(stream), { parts: numbers(40) });
    await closing;
  });

  it('refuses arguments that are wrong', async () => {
    assert.throws(() => client.requestStream('', 1), { code: 'ERR_INVALID_ARG_VALUE' });
    assert.throws(() => client.requestStream('m', 1, { idleTimeout: 0 }), { code: 'ERR_OUT_OF_RANGE' });
    assert.throws(() => client.requestStream('m', 1, { parts: 3 } as never), { code: 'ERR_INVALID_ARG_VALUE' });
    await client.close();
    assert.throws(() => client.requestStream('m', 1), { code: 'ERR_MILLRACE_CLOSED' });
  });

  it('has others told what came with its end, though a listener throws', async () => {
    const answerer = new Answerer(connection, queue);
    const driver = await driverUnder(connection);
    const stream = client.requestStream('m', 1);
    const other = client.request('m', 2);
    const requests = await Promise.all([0, 1].map(async (number) => (await answerer.request(number)).value));
    const thrown = uncaught();
    stream.on('readable', () => {
      if (stream.read() === null) throw new Error("the listener's own");
    });
    await settled(() => answerer.requests.length);
    const ends = [{ parts: 0 }, { data: 5 }];
    await driver.reply(
      requests.map(({ id, channel }, i) => ({ channel, text: JSON.stringify({ id, success: true, ...ends[i] }) })),
      queue,
    );
    assert.equal(await other, 5);
    assert.match(String(await thrown), /the listener's own/);
    answerer.stream.destroy();
  });

  it('ends the iterator of a handler that was given no deadline, when the one has passed that it was told', async () => {
    const counter = new Counter();
    answer({ count: counter.count });
    const driver = await driverUnder(connection);
    const inbox = driver.inbox((message) => {
      for (const { run, channel } of packetsIn(message) as PartPacket[]) {
        const text = JSON.stringify({ run, credit: 4, deadline: driver.now() + 50 });
        if (channel !== undefined) void driver.reply([{ channel, text }]);
      }
    });
    await push(connection, queue, [{ id: 'x', method: 'count', channel: inbox.channel, parts: 2 }]);
    await until(() => counter.ended === 1);
    assert.equal(counter.signal?.reason.code, 'ERR_MILLRACE_TIMEOUT');
    inbox.close();
  });

  describe('of what comes over the wire', () => {
    let stream: PartStream<unknown>;
    let request: RequestPacket;
    let say: (part: Partial<PartPacket>) => Promise<void>;
    beforeEach(async () => {
      const answerer = new Answerer(connection, queue);
      const driver = await driverUnder(connection);
      stream = client.requestStream('m', 1) as PartStream<unknown>;
      request = (await answerer.request(0)).value;
      const { id, channel } = request;
      say = (part) => driver.reply([{ channel, text: JSON.stringify({ id, run: 'a', ...part }) }], queue);
    });
    afterEach(() => stream.destroy());

    it('says that it takes 16 parts', () => {
      assert.equal(request.parts, 16);
    });

    it('takes each part once', async () => {
      for (const part of [0, 0, 1, 1, 0]) await say({ part, data: part });
      await say({ success: true, parts: 2 } as object);
      assert.deepEqual(await gather(stream), { parts: [0, 1] });
      assert.equal(connection.stats().strayReplies, 3);
    });

    for (const [what, parts] of Object.entries({
      'when a part is missing': [{ part: 0 }, { part: 2 }],
      'when the first part is missing': [{ part: 1 }],
      'when another worker begins anew': [{ part: 0 }, { part: 0, run: 'b' }],
      'when another worker answers at once': [{ part: 0 }, { success: true, data: 'x' }],
      'when it ends with fewer parts than there were': [{ part: 0 }, { success: true, parts: 2 }],
    })) {
      it(`fails ${what}`, async () => {
        for (const part of parts as Partial<PartPacket>[]) await say({ data: 'x', ...part });
        assert.equal((await gather(stream)).error?.code, 'ERR_MILLRACE_INTERRUPTED');
      });
    }
  });
});

describe('PartStream', () => {
  it('is begun anew by another when its worker has died before the first part, and fails when that was later', async () => {
    const connection = memory();
    const begun: string[] = [];
    const ended: string[] = [];
    const worker = (consumer: string): Service =>
      serve(
        'q',
        {
          async *count(first: number, { signal }: Request) {
            begun.push(`${consumer}${first}`);
            try {
              if (consumer === 'a' && first === 0) await once(signal, 'abort');
              for (let n = first; ; n += 1) yield n;
            } finally {
              ended.push(`${consumer}${first}`);
            }
          },
        },
        { connection, consumer, concurrency: 10, leaseTimeout: 1000 },
      );
    worker('a');
    const client = new Client('q', { connection, timeout: 100_000 });
    const [early, late] = [client.requestStream('count', 0), client.requestStream('count', 100)];
    await until(() => begun.length === 2);
    const reader = late[Symbol.asyncIterator]();
    assert.equal((await reader.next()).value, 100);
    worker('b');
    connection.crash('a');
    const failed = gather(late);
    await connection.advance(1000);
    const first = await early[Symbol.asyncIterator]().next();
    assert.equal(first.value, 0);
    assert.equal((await failed).error?.code, 'ERR_MILLRACE_INTERRUPTED');
    assert.deepEqual(begun, ['a0', 'a100', 'b0', 'b100']);
    await until(() => ended.includes('b100'));
    early.destroy();
    await until(() => ended.includes('b0'));
    await client.close();
    await connection.close({ timeout: 100 });
  });

  it('fails, too, when its worker has died and the deadline of its request had passed long before', async () => {
    const connection = memory();
    const worker = (consumer: string): Service =>
      serve(
        'q',
        {
          async *wait(_value: unknown, { signal }: Request) {
            yield 1;
            await once(signal, 'abort');
          },
        },
        { connection, consumer, leaseTimeout: 20_000 },
      );
    worker('a');
    const client = new Client('q', { connection, timeout: 5000, idleTimeout: 100_000 });
    const reader = client.requestStream('wait', 1)[Symbol.asyncIterator]();
    assert.equal((await reader.next()).value, 1);
    const failed = assert.rejects(reader.next(), { code: 'ERR_MILLRACE_INTERRUPTED' });
    connection.crash('a');
    worker('b');
    await connection.advance(20_000);
    await failed;
    await client.close();
    await connection.close({ timeout: 100 });
  });

  it('is forgotten by who has answered it, though there was much time left', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const connection = memory();
    let request: WeakRef<Request> | undefined;
    await using _service = serve(
      'q',
      {
        async *one(_value: unknown, given: Request) {
          request = new WeakRef(given);
          yield 1;
        },
      },
      { connection },
    );
    await using client = new Client('q', { connection });
    const { parts } = await gather(client.requestStream('one', 1, { timeout: 1_000_000 }));
    assert.deepEqual(parts, [1]);
    // What comes last may be held on to.
    assert.deepEqual((await gather(client.requestStream('none', 1))).parts, []);
    await until(() => {
      collect();
      return request !== undefined && request.deref() === undefined;
    });
  });

  it('gives every part, once and in order, through many broken connections', async () => {
    await using server = await RedisServer.start();
    const redis = server.client();
    const [asking, answering] = [connect(server.url), connect(server.url)];
    await using service = serve('q', { upTo }, { connection: answering });
    await service.ready;
    const client = new Client('q', { connection: asking });
    const parts: unknown[] = [];
    for await (const part of client.requestStream('upTo', 500)) {
      parts.push(part);
      // Not at the end: who closes while the connection is broken leaves a mailbox that expires.
      if (parts.length % 100 === 50) await redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    }
    assert.deepEqual(parts, numbers(500));
    await client.close();
    await asking.close();
    await service.close();
    await answering.close();
    assert.deepEqual(await redis.keys('*:replies:*'), []);
  });

  it('fails behind the parts that came before the time of the handler was over, though the broker is slow', async () => {
    await using server = await RedisServer.start();
    await using proxy = await TcpProxy.start(server.port);
    const [asking, answering] = [connect(server.url), connect(proxy.url)];
    let isLate = false;
    const wait = async function* (_value: unknown, { signal }: Request): AsyncGenerator<number> {
      yield 0;
      await held;
      yield 1;
      await once(signal, 'abort');
      isLate = true;
    };
    const service = serve('q', { wait }, { connection: answering, timeout: 300 });
    await service.ready;
    const held = proxy.hold('"part":0');
    const client = new Client('q', { connection: asking });
    const gathered = gather(client.requestStream('wait', 1));
    const release = await held;
    await until(() => isLate);
    for (let turn = 0; turn < 10; turn += 1) await nextTurn();
    release();
    const { parts, error } = await gathered;
    assert.deepEqual(parts, [0, 1]);
    assert.equal(error?.remote?.code, 'ERR_MILLRACE_TIMEOUT');
    await client.close();
    await asking.close();
    await service.close();
    await answering.close();
  });

  it('ends the iterator of a handler whose requester is not heard of any more', async () => {
    await using server = await RedisServer.start();
    const redis = server.client();
    const connection = connect(server.url);
    const counter = new Counter();
    await using service = serve('q', { count: counter.count }, { connection });
    await service.ready;
    const inbox = 'millrace:replies:nobody';
    const deadline = Date.now() + 1000;
    await push(connection, 'q', [{ id: 'x', method: 'count', channel: inbox, deadline, parts: 4 }]);
    await until(() => counter.ended === 1);
    assert.equal(counter.given, 3);
    assert.equal(counter.signal?.reason.code, 'ERR_MILLRACE_TIMEOUT');
    await service.close();
    await connection.close();
    assert.equal(await redis.xlen('{q}:replies:nobody'), 1);
  });
});
