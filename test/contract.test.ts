import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import {
  Client,
  type Connection,
  type ContractOf,
  connect,
  contract,
  MillraceError,
  type PartStream,
  ReplyTransform,
  type Request,
  type RequestDuplex,
  serve,
} from '../lib/index.ts';
import { Answerer } from './support/answering.ts';
import { Asker } from './support/asking.ts';
import { describeEach, uniqueQueue } from './support/brokers.ts';
import { closed, drain, nextTurn, until } from './support/streams.ts';

/** A schema of what a function makes of a value, which it refuses by throwing a text; `until` is what it waits for. */
function schema<In, Out>(make: (value: In) => Out, until?: () => Promise<unknown>): StandardSchemaV1<In, Out> {
  const result = (value: unknown): StandardSchemaV1.Result<Out> => {
    try {
      return { value: make(value as In) };
    } catch (message) {
      return { issues: [{ message: String(message) }] };
    }
  };
  const validate = (value: unknown) => (until ? until().then(() => result(value)) : result(value));
  return { '~standard': { version: 1, vendor: 'test', validate } };
}

function number(value: number): number {
  if (typeof value !== 'number') throw `not a number: ${value}`;
  return value;
}

function date(value: string | Date): Date {
  const made = new Date(value);
  if (Number.isNaN(made.getTime())) throw `not a date: ${value}`;
  return made;
}

const isNumber = schema(number);
const isLateNumber = schema(number, nextTurn);

const maths = contract({
  square: { input: isNumber, output: isNumber },
  double: { input: isLateNumber, output: isLateNumber },
  /** The day after; what goes over the wire is text at either end. */
  next: { input: schema((text: string) => date(text)), output: schema(date) },
  count: { input: isNumber, parts: isNumber },
});

const DAY = 86_400_000;

const handlers = {
  square: (n: number) => n * n,
  double: async (n: number) => n + n,
  next: (day: Date) => new Date(day.getTime() + DAY),
  async *count(below: number) {
    for (let n = 0; n < below; n += 1) yield n;
  },
};

/** Something to wait for, until it is opened. */
class Gate {
  isWaitedFor = false;
  open: () => void = () => {};
  readonly #opened = new Promise<void>((resolve) => {
    this.open = resolve;
  });

  readonly opened = (): Promise<void> => {
    this.isWaitedFor = true;
    return this.#opened;
  };
}

/** Why a promise was rejected. */
async function reasonOf(promise: Promise<unknown>): Promise<MillraceError> {
  const [result] = await Promise.allSettled([promise]);
  assert.ok(result.status === 'rejected', 'it was fulfilled');
  return result.reason;
}

async function partsOf(stream: AsyncIterable<unknown>): Promise<unknown[]> {
  const parts: unknown[] = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

describeEach('a contract', (broker) => {
  let connection: Connection;
  let queue: string;
  beforeEach(() => {
    connection = connect(broker().url);
    queue = uniqueQueue();
  });
  afterEach(() => connection.close({ timeout: 2000 }));

  it('gives both ends what its schemas make of values', async () => {
    await using _service = serve(queue, handlers, { connection, contract: maths });
    await using client = new Client(queue, { connection, contract: maths });
    assert.equal(await client.request('square', 3), 9);
    assert.equal(await client.request('double', 3), 6);
    const day: Date = await client.request('next', '2024-02-28');
    assert.deepEqual(day, new Date('2024-02-29'));
  });

  describe('of a client', () => {
    let client: Client<(typeof maths)['~contract']>;
    beforeEach(() => {
      client = new Client(queue, { connection, contract: maths });
    });
    afterEach(() => client.close());

    it('has nothing sent for a method that it lacks, or that answers in parts', async () => {
      for (const method of ['cube', 'toString']) {
        const error = await reasonOf(client.request(method as never, 3 as never));
        assert.ok(error instanceof MillraceError);
        assert.equal(error.code, 'ERR_MILLRACE_NO_METHOD');
        assert.match(error.message, /there are square, double, next, count/);
        assert.throws(() => client.duplex(method as never), { code: 'ERR_MILLRACE_NO_METHOD' });
      }
      assert.equal((await reasonOf(client.request('count' as never, 3 as never))).code, 'ERR_MILLRACE_NOT_SUPPORTED');
      assert.equal((await reasonOf(client.request('' as never, 3 as never))).code, 'ERR_INVALID_ARG_VALUE');
      assert.deepEqual(await drain(connection, queue), []);
    });

    it('has nothing sent for a stream of parts of a method that it lacks, or that answers at once', async () => {
      assert.throws(() => client.requestStream('cube' as never, 3 as never), { code: 'ERR_MILLRACE_NO_METHOD' });
      assert.throws(() => client.requestStream('square' as never, 3 as never), { code: 'ERR_MILLRACE_NOT_SUPPORTED' });
      await assert.rejects(partsOf(client.requestStream('count', 'x' as never)), { code: 'ERR_MILLRACE_INVALID_ITEM' });
      assert.deepEqual(await drain(connection, queue), []);
    });

    it('refuses a part', async () => {
      const bad = async function* (): AsyncGenerator<unknown> {
        yield* [1, 'two'];
      };
      await using _service = serve(queue, { count: bad }, { connection });
      const parts: number[] = [];
      const reading = (async () => {
        for await (const part of client.requestStream('count', 3)) parts.push(part);
      })();
      await assert.rejects(reading, /A part of the reply for "count".*not a number: two/);
      assert.deepEqual(parts, [1]);
    });

    it('has nothing sent that it refuses', async () => {
      for (const method of ['square', 'double'] as const) {
        const error = await reasonOf(client.request(method, 'three' as never));
        assert.ok(error instanceof MillraceError);
        assert.equal(error.code, 'ERR_MILLRACE_INVALID_ITEM');
        assert.match(error.message, new RegExp(`parameters for "${method}".*not a number: three`));
        assert.equal(error.item, 'three');
        assert.deepEqual(error.cause, [{ message: 'not a number: three' }]);
      }
      assert.equal((await reasonOf(client.request('square', 1n as never))).code, 'ERR_MILLRACE_INVALID_ITEM');
      assert.deepEqual(await drain(connection, queue), []);
    });

    it('has sent what was given, not what it makes of it', async () => {
      const answerer = new Answerer(connection, queue, () => new Date(0));
      assert.deepEqual(await client.request('next', '1 Jan 2024'), new Date(0));
      assert.deepEqual(answerer.parameters, ['1 Jan 2024']);
    });

    it('has sent what a value was when it was given', async () => {
      const gate = new Gate();
      const late = contract({ m: { input: schema((value: { n: number }) => value, gate.opened), output: isNumber } });
      const answerer = new Answerer(connection, queue, () => 0);
      await using other = new Client(queue, { connection, contract: late });
      const value = { n: 1 };
      const asked = other.request('m', value);
      value.n = 2;
      gate.open();
      await asked;
      assert.deepEqual(answerer.parameters, [{ n: 1 }]);
    });

    it('refuses a reply', async () => {
      new Answerer(connection, queue, ({ parameters }) => `${parameters}!`);
      for (const method of ['square', 'double'] as const) {
        const error = await reasonOf(client.request(method, 3));
        assert.ok(error instanceof MillraceError);
        assert.equal(error.code, 'ERR_MILLRACE_INVALID_ITEM');
        assert.match(error.message, new RegExp(`reply for "${method}".*not a number: 3!`));
        assert.equal(error.item, '3!');
      }
    });

    it('leaves the errors of the other end as they are', async () => {
      new Answerer(connection, queue, () => {
        throw new RangeError('on purpose');
      });
      const error = await reasonOf(client.request('square', 3));
      assert.equal(error.code, 'ERR_MILLRACE_REMOTE');
      assert.equal(error.remote?.name, 'RangeError');
    });

    it('lets requests be given up while it validates them, which then are not sent', async () => {
      const gate = new Gate();
      const slow = contract({ m: { input: schema(number, gate.opened), output: isNumber } });
      const other = new Client(queue, { connection, contract: slow });
      const controller = new AbortController();
      const aborted = reasonOf(other.request('m', 1, { signal: controller.signal }));
      const expired = reasonOf(other.request('m', 2, { timeout: 1 }));
      const closed = reasonOf(other.request('m', 3));
      controller.abort();
      assert.equal((await aborted).name, 'AbortError');
      assert.equal((await expired).code, 'ERR_MILLRACE_TIMEOUT');
      await other.close();
      assert.equal((await closed).code, 'ERR_MILLRACE_CLOSED');
      gate.open();
      await nextTurn();
      assert.deepEqual(await drain(connection, queue), []);
    });

    it('has the connection wait for what it validates', async () => {
      const gate = new Gate();
      const slow = contract({ m: { input: schema(number, gate.opened), output: isNumber } });
      new Answerer(connection, queue, ({ parameters }) => parameters);
      const own = connect(broker().url);
      const asked = new Client(queue, { connection: own, contract: slow }).request('m', 1);
      const closing = own.close();
      await nextTurn();
      gate.open();
      assert.equal(await asked, 1);
      await closing;
    });

    it('holds for the streams that it makes', async () => {
      new Answerer(connection, queue, ({ parameters }) => (parameters === 2 ? 'two' : parameters));
      for (const method of ['square', 'double'] as const) {
        const settled = client.duplex(method, { settled: true });
        for (const value of [1, 2, 'three', 4]) settled.write(value);
        settled.end();
        const outcomes: unknown[] = [];
        for await (const one of settled.replies()) {
          outcomes.push(one.status === 'fulfilled' ? one.value : one.reason.message);
        }
        assert.deepEqual([outcomes[0], outcomes[3], outcomes.length], [1, 4, 4]);
        assert.match(String(outcomes[1]), /reply for .*not a number: two/);
        assert.match(String(outcomes[2]), /parameters for .*not a number: three/);
      }
    });

    it('gives the replies of streams as it makes them, and fails those that it refuses', async () => {
      new Answerer(connection, queue, ({ parameters }) => parameters);
      const days = client.duplex('next', { ordered: false });
      days.end('2024-02-28');
      for await (const day of days.replies()) assert.deepEqual(day, new Date('2024-02-28'));
      const failing = client.duplex('square');
      failing.write('three');
      const [error] = await once(failing, 'error');
      assert.equal(error.code, 'ERR_MILLRACE_INVALID_ITEM');
    });
  });

  describe('of a service', () => {
    let asker: Asker;
    beforeEach(async () => {
      asker = await Asker.open(connection, queue);
    });
    afterEach(() => asker.close());

    it('keeps what it refuses from the handlers', async () => {
      const seen: unknown[] = [];
      const see = (value: number): number => {
        seen.push(value);
        return value;
      };
      const all = { ...handlers, square: see, double: see };
      await using _service = serve(queue, all, { connection, contract: maths });
      for (const method of ['square', 'double']) {
        const { name, code, message } = await asker.error(method, 'three');
        assert.deepEqual([name, code], ['MillraceError', 'ERR_MILLRACE_INVALID_ITEM']);
        assert.match(message, new RegExp(`parameters for "${method}".*not a number: three`));
        assert.equal((await asker.error(method)).code, 'ERR_MILLRACE_INVALID_ITEM');
        assert.equal(await asker.data(method, 3), 3);
      }
      assert.deepEqual(seen, [3, 3]);
    });

    it('gives a handler what it makes of a value, by its request, too', async () => {
      const requests: Request<Date>[] = [];
      const next = (day: Date, request: Request<Date>): Date => {
        assert.equal(request.value, day);
        requests.push(request);
        return day;
      };
      await using _service = serve(queue, { ...handlers, next }, { connection, contract: maths });
      const packet = asker.packet('next', '2024-02-28', { headers: { a: 'b' } });
      await asker.send(packet);
      await asker.reply(packet);
      const [request] = requests;
      assert.deepEqual(request?.value, new Date('2024-02-28'));
      assert.deepEqual([request?.id, request?.method, request?.headers], [packet.id, 'next', { a: 'b' }]);
    });

    it('has sent what it makes of a result, or says that it is the handler that was wrong', async () => {
      const secret = schema(({ name }: { name: string; password: string }) => {
        if (name === 'root') throw 'not for you';
        return { name };
      });
      const users = contract({ find: { input: schema(String), output: secret } });
      const find = (name: string) => ({ name, password: 'secret' });
      await using _service = serve(queue, { find }, { connection, contract: users });
      assert.deepEqual(await asker.data('find', 'me'), { name: 'me' });
      const { code, message } = await asker.error('find', 'root');
      assert.equal(code, 'ERR_MILLRACE_INVALID_ITEM');
      assert.match(message, /handler's result for "find".*not for you/);
    });

    it('holds for one handler of all methods', async () => {
      const seen: string[] = [];
      const handler = (value: unknown, { method }: Request): unknown => {
        seen.push(method);
        return value;
      };
      const replies = new ReplyTransform(handler, { connection, contract: maths });
      const packets = [asker.packet('cube', 1), asker.packet('square', 'x'), asker.packet('square', 3)];
      for (const packet of packets) replies.write(packet);
      replies.end();
      const [none, invalid, nine] = await Promise.all(packets.map((packet) => asker.reply(packet)));
      assert.equal(none?.success === false && none.error.code, 'ERR_MILLRACE_NO_METHOD');
      assert.equal(invalid?.success === false && invalid.error.code, 'ERR_MILLRACE_INVALID_ITEM');
      assert.equal(nine?.success && nine.data, 3);
      assert.deepEqual(seen, ['square']);
    });

    it('says where a reply in parts is asked for as one', async () => {
      await using _service = serve(queue, handlers, { connection, contract: maths });
      assert.equal((await asker.error('count', 3)).code, 'ERR_MILLRACE_NOT_SUPPORTED');
    });

    it('has each part sent as it makes it, or says that it is the handler that was wrong', async () => {
      const counting = contract({ count: { input: isNumber, parts: schema((n: number) => number(n) * 2) } });
      const count = async function* (below: number): AsyncGenerator<number> {
        for (let n = 0; n < below; n += 1) yield n;
        if (below === 2) yield 'two' as never;
      };
      await using _service = serve(queue, { count }, { connection, contract: counting, concurrency: 4 });
      await using client = new Client(queue, { connection });
      assert.deepEqual(await partsOf(client.requestStream('count', 3)), [0, 2, 4]);
      const failed = client.requestStream('count', 2);
      await assert.rejects(partsOf(failed), /A part of the handler's result for "count".*not a number: two/);
      await assert.rejects(partsOf(client.requestStream('count', 'x')), /not a number: x/);
    });

    it('has a stream ended that gives no part, or was not begun', async () => {
      const sources = [0, 1].map(() => new Readable({ objectMode: true, read() {} }));
      const begun: number[] = [];
      const count = (index: number): AsyncIterable<number> => {
        begun.push(index);
        return sources[index] as Readable;
      };
      await using _service = serve(queue, { ...handlers, count }, { connection, contract: maths, concurrency: 2 });
      await using client = new Client(queue, { connection });
      assert.equal((await asker.error('count', 0)).code, 'ERR_MILLRACE_NOT_SUPPORTED');
      await closed(sources[0] as Readable);
      const stream = client.requestStream('count', 1);
      await until(() => begun.length === 2);
      for (let turn = 0; turn < 10; turn += 1) await nextTurn();
      stream.destroy();
      await closed(sources[1] as Readable);
    });

    it('refuses the result of a handler that gives no parts', async () => {
      const count = (() => 3) as never;
      await using _service = serve(queue, { ...handlers, count }, { connection, contract: maths });
      await using client = new Client(queue, { connection });
      await assert.rejects(partsOf(client.requestStream('count', 3)), /an async iterable/);
    });

    it('calls no handler when the time is over while it validates', async () => {
      const gate = new Gate();
      const seen: number[] = [];
      const m = (n: number): number => {
        seen.push(n);
        return n;
      };
      const waits = contract({
        m: { input: schema(number, gate.opened), output: isNumber },
        n: { input: isNumber, output: isNumber },
      });
      await using _service = serve(queue, { m, n: m }, { connection, contract: waits, timeout: 20 });
      assert.equal((await asker.error('m', 1)).code, 'ERR_MILLRACE_TIMEOUT');
      gate.open();
      assert.equal(await asker.data('n', 2), 2);
      assert.deepEqual(seen, [2]);
    });

    it('calls no handler for a request that is cancelled while it validates', async () => {
      const gate = new Gate();
      const seen: string[] = [];
      const handler = async (_value: unknown, { method, signal }: Request): Promise<number> => {
        seen.push(method);
        if (method === 'wait') await once(signal, 'abort');
        return 0;
      };
      const waits = contract({
        slow: { input: schema(number, gate.opened), output: isNumber },
        wait: { input: isNumber, output: isNumber },
        fast: { input: isNumber, output: isNumber },
      });
      const options = { connection, contract: waits, concurrency: 2 };
      await using _service = serve(queue, handler, options);
      const [slow, wait] = [asker.packet('slow', 1), asker.packet('wait', 1)];
      await asker.send(slow, wait);
      await until(() => gate.isWaitedFor && seen.length === 1);
      await asker.cancel(slow);
      await asker.cancel(wait);
      // Both are known to be cancelled when the second one's handler has gone: else this one would wait.
      assert.equal(await asker.data('fast', 1), 0);
      gate.open();
      assert.equal(await asker.data('fast', 2), 0);
      assert.deepEqual(seen, ['wait', 'fast', 'fast']);
      assert.deepEqual([...asker.repliesTo(slow), ...asker.repliesTo(wait)], []);
    });
  });
});

describe('contract', () => {
  const connection = 'memory:';

  it('is frozen, and shows nothing', () => {
    assert.ok(Object.isFrozen(maths));
    assert.deepEqual(Object.keys(maths), []);
  });

  it('does not change with its shape', async () => {
    const shape: { square: { input: StandardSchemaV1; output: StandardSchemaV1 } } = {
      square: { input: isNumber, output: isNumber },
    };
    const fixed = contract(shape);
    shape.square.input = schema(() => assert.fail('it was asked'));
    await using own = connect('memory:');
    await using _service = serve('q', { square: (n: unknown) => Number(n) ** 2 }, { connection: own, contract: fixed });
    assert.equal(await new Client('q', { connection: own, contract: fixed }).request('square', 3), 9);
  });

  it('checks its argument', () => {
    const make = (shape: unknown) => () => contract(shape as never);
    const type = (name: string) => ({ code: 'ERR_INVALID_ARG_TYPE', message: new RegExp(`"${name}"`) });
    const value = (name: string) => ({ code: 'ERR_INVALID_ARG_VALUE', message: new RegExp(`"${name}"`) });
    for (const wrong of [undefined, null, 1, () => {}]) assert.throws(make(wrong), type('shape'));
    for (const wrong of [undefined, null, 1]) assert.throws(make({ m: wrong }), type('shape.m'));
    const [input, output, parts] = [isNumber, isNumber, isNumber];
    assert.throws(make({ m: { output } }), type('shape.m.input'));
    assert.throws(make({ m: { input: {}, output } }), type('shape.m.input'));
    assert.throws(make({ m: { input, output: 1 } }), type('shape.m.output'));
    assert.throws(make({ m: { input, output: null } }), type('shape.m.output'));
    assert.throws(make({ m: { input, parts: { '~standard': {} } } }), type('shape.m.parts'));
    assert.throws(make({ m: { input } }), value('shape.m'));
    assert.throws(make({ m: { input, output, parts } }), value('shape.m'));
    assert.throws(make({ m: { input, output, part: parts } }), value('shape.m'));
    assert.ok(make({ a: { input, output, parts: undefined }, b: { input, parts } })());
  });

  it('is the only thing that the option takes', () => {
    const error = { code: 'ERR_INVALID_ARG_TYPE', message: /options\.contract/ };
    for (const wrong of [null, {}, 'maths', { square: { input: isNumber, output: isNumber } }]) {
      const options = { connection, contract: wrong as unknown as typeof maths };
      assert.throws(() => new Client('q', options), error);
      assert.throws(() => serve('q', handlers, options), error);
      assert.throws(() => new ReplyTransform(handlers, options), error);
    }
  });

  it('wants a handler for each of its methods, and no more', () => {
    const { square: _square, ...fewer } = handlers;
    const missing = { code: 'ERR_INVALID_ARG_VALUE', message: /"handlers\.square".*in the contract/ };
    // @ts-expect-error: one is missing
    assert.throws(() => serve('q', fewer, { connection, contract: maths }), missing);
    // @ts-expect-error: one is missing
    assert.throws(() => new ReplyTransform(fewer, { connection, contract: maths }), missing);
    const known = { code: 'ERR_INVALID_ARG_VALUE', message: /"handlers\.cube".*square, double, next, count/ };
    const cube = (n: number): number => n ** 3;
    // @ts-expect-error: one is too many
    assert.throws(() => serve('q', { ...handlers, cube }, { connection, contract: maths }), known);
    const inherited = Object.create(handlers);
    assert.throws(() => serve('q', inherited, { connection, contract: maths }), { code: 'ERR_INVALID_ARG_VALUE' });
  });

  it('types both ends', () => {
    interface Plain {
      square(n: number): number;
      next(text: string): Date;
    }
    const typed = (): void => {
      const client = new Client('q', { connection, contract: maths });
      const square: Promise<number> = client.request('square', 3);
      const next: Promise<Date> = client.request('next', '2024-02-28');
      const duplex: RequestDuplex<string, Date> = client.duplex('next');
      // @ts-expect-error: not what the schema takes
      client.request('square', '3');
      // @ts-expect-error: the schema takes text
      client.request('next', new Date());
      // @ts-expect-error: not what the schema makes
      const text: Promise<string> = client.request('next', '2024-02-28');
      // @ts-expect-error: no such method
      client.request('cube', 3);
      const count: PartStream<number> = client.requestStream('count', 3);
      // @ts-expect-error: it answers in parts
      client.request('count', 3);
      // @ts-expect-error: it answers at once
      client.requestStream('square', 3);

      serve('q', { ...handlers, next: (day) => day.toISOString() }, { contract: maths });
      serve('q', { ...handlers, next: async (day, { value }) => (day < value ? day : value) }, { contract: maths });
      // @ts-expect-error: not what the schema takes
      serve('q', { ...handlers, square: (n) => String(n) }, { contract: maths });
      // @ts-expect-error: it answers in parts
      serve('q', { ...handlers, count: (n) => n }, { contract: maths });
      // @ts-expect-error: its value is a Date
      serve('q', { ...handlers, next: (text: string) => text }, { contract: maths });
      // @ts-expect-error: not what contract() gave
      serve('q', handlers, { contract: {} });

      new Client<Plain>('q', { connection }).request('next', 'x');
      // An interface may be named, too, where it is part of the contract.
      new Client<Plain>('q', { contract: maths }).request('square', 3);
      const known: ContractOf<Plain> = maths;
      // @ts-expect-error: the contract has no such method
      new Client<Plain & { cube(n: number): number }>('q', { contract: maths });
      // @ts-expect-error: one of output and parts
      contract({ m: { input: isNumber, output: isNumber, parts: isNumber } });
      // @ts-expect-error: one of output and parts
      contract({ m: { input: isNumber } });
      void [square, next, duplex, text, count, known];
    };
    assert.equal(typeof typed, 'function');
  });
});
