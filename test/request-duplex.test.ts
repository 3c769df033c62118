import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  AckStream,
  Client,
  type Connection,
  connect,
  type Delivery,
  DeliveryStream,
  MillraceError,
  PushStream,
  RequestDuplex,
} from '../lib/index.ts';
import { failureText, type RequestPacket, replyText } from '../lib/packet.ts';
import { Answerer, driverUnder } from './support/answering.ts';
import { describeEach, uniqueQueue } from './support/brokers.ts';
import { closed, drain, nextTurn, numbers, push, take, until } from './support/streams.ts';

const square = ({ parameters }: RequestPacket): number => (parameters as number) ** 2;

const squares = (all: readonly number[]): number[] => all.map((n) => n * n);

/** The error of a stream that fails. */
async function failureOf(stream: RequestDuplex): Promise<MillraceError> {
  await closed(stream);
  assert.ok(stream.errored, 'it has not failed');
  return stream.errored as MillraceError;
}

/** All that comes out of a stream, as it comes. */
function read(stream: RequestDuplex): unknown[] {
  const values: unknown[] = [];
  stream.on('data', (value) => values.push(value));
  return values;
}

/** What the requests that are left in a queue ask with. */
async function left(connection: Connection, queue: string): Promise<unknown[]> {
  return (await drain(connection, queue)).map((packet) => (packet as RequestPacket).parameters);
}

describeEach('RequestDuplex', (broker) => {
  let connection: Connection;
  let queue: string;
  beforeEach(() => {
    connection = connect(broker().url);
    queue = uniqueQueue();
  });
  afterEach(() => connection.close({ timeout: 500 }).catch(() => {}));

  describe('asks and gives the replies', () => {
    it('of a pipeline, in order', async () => {
      new Answerer(connection, queue, square);
      const replies: unknown[] = [];
      await pipeline(Readable.from(numbers(1000)), new RequestDuplex(queue, { connection }), async (source) => {
        for await (const reply of source) replies.push(reply);
      });
      assert.deepEqual(replies, squares(numbers(1000)));
    });

    it('of a pipeline from a generator into a stream', async () => {
      new Answerer(connection, queue, square);
      const replies: unknown[] = [];
      const source = async function* () {
        for (const n of numbers(100)) {
          if (n % 10 === 0) await nextTurn();
          yield n;
        }
      };
      const sink = new Writable({
        objectMode: true,
        write: (reply, _encoding, callback) => {
          replies.push(reply);
          setImmediate(callback);
        },
      });
      await pipeline(source, new RequestDuplex(queue, { connection, concurrency: 8 }), sink);
      assert.deepEqual(replies, squares(numbers(100)));
    });

    it('to for await, and by replies()', async () => {
      new Answerer(connection, queue, square);
      const one = new RequestDuplex<number, number>(queue, { connection });
      const other = new RequestDuplex<number, number>(queue, { connection });
      for (const n of numbers(10)) {
        one.write(n);
        other.write(n);
      }
      one.end();
      other.end();
      const replies: number[] = [];
      for await (const reply of one) replies.push(reply);
      for await (const reply of other.replies()) replies.push(reply);
      assert.deepEqual(replies, [...squares(numbers(10)), ...squares(numbers(10))]);
      await closed(one);
      await closed(other);
    });

    it('of 10,000 in a pipe, each once', async () => {
      new Answerer(connection, queue, square);
      const replies: number[] = [];
      const duplex = new RequestDuplex<number, number>(queue, { connection, concurrency: 512 });
      await pipeline(Readable.from(numbers(10_000)), duplex, async (source) => {
        for await (const reply of source) replies.push(reply);
      });
      assert.deepEqual(replies, squares(numbers(10_000)));
      assert.equal(connection.stats().strayReplies, 0);
    });

    it('in the order of the requests, though they come in another', async () => {
      const answerer = new Answerer(connection, queue);
      const duplex = new RequestDuplex(queue, { connection });
      const replies = read(duplex);
      for (const n of numbers(5)) duplex.write(n);
      for (const n of [4, 2, 1, 3]) await answerer.reply(n, `reply ${n}`);
      await nextTurn();
      assert.deepEqual(replies, []);
      await answerer.reply(0, 'reply 0');
      await until(() => replies.length === 5);
      assert.deepEqual(
        replies,
        numbers(5).map((n) => `reply ${n}`),
      );
    });

    it('as they come with ordered: false', async () => {
      const answerer = new Answerer(connection, queue);
      const duplex = new RequestDuplex(queue, { connection, ordered: false });
      const replies = read(duplex);
      for (const n of numbers(5)) duplex.write(n);
      const order = [4, 2, 0, 3, 1];
      for (const [index, n] of order.entries()) {
        await answerer.reply(n, n);
        await until(() => replies.length === index + 1);
      }
      assert.deepEqual(replies, order);
    });

    it('to each of 1,000 streams of one connection its own', async () => {
      new Answerer(connection, queue, ({ parameters }) => `for ${parameters}`);
      const streams = numbers(1000).map(() => new RequestDuplex(queue, { connection }));
      const all = streams.map(async (stream, n) => {
        stream.write(`${n}a`);
        stream.end(`${n}b`);
        return stream.toArray();
      });
      for (const [n, replies] of (await Promise.all(all)).entries()) {
        assert.deepEqual(replies, [`for ${n}a`, `for ${n}b`]);
      }
      const stats = connection.stats();
      assert.equal(stats.strayReplies, 0);
      assert.ok(stats.clients <= 3, `${stats.clients} clients`);
    });
  });

  it('sends what a request is made of', async () => {
    const answerer = new Answerer(connection, queue);
    const driver = await driverUnder(connection);
    await connection.ready;
    const duplex = new RequestDuplex(queue, { connection, method: 'm"1', timeout: 5000, headers: { tenant: 'a"b' } });
    const before = driver.now();
    duplex.write({ n: 'é"' });
    const { value } = await answerer.request(0);
    const { id, channel, deadline, ...rest } = value;
    assert.deepEqual(rest, { method: 'm"1', parameters: { n: 'é"' }, headers: { tenant: 'a"b' } });
    assert.ok(typeof id === 'string' && id.length < 20 && channel.length > 16);
    assert.ok(Number(deadline) >= before + 5000 && Number(deadline) <= driver.now() + 5000);
    const plain = new RequestDuplex(queue, { connection });
    plain.write(0);
    const other = (await answerer.request(1)).value;
    assert.equal(other.method, 'default');
    assert.ok(!('headers' in other));
    assert.equal(other.channel, channel);
    assert.notEqual(other.id, id);
    for (const stream of [duplex, plain]) stream.destroy();
  });

  it("tells 'ready' when the broker answers", async () => {
    const duplex = new RequestDuplex(queue, { connection });
    await once(duplex, 'ready');
    duplex.destroy();
  });

  describe('has as its backpressure what is in flight', () => {
    it('which is never more than its concurrency', async () => {
      const answerer = new Answerer(connection, queue);
      const duplex = new RequestDuplex(queue, { connection, concurrency: 7, ordered: false });
      const replies = read(duplex);
      Readable.from(numbers(50)).pipe(duplex);
      for (const n of numbers(50)) {
        await answerer.request(Math.min(n + 6, 49));
        for (let turn = 0; turn < 5; turn += 1) await nextTurn();
        assert.equal(answerer.requests.length, Math.min(n + 7, 50));
        await answerer.reply(n, n);
      }
      await until(() => replies.length === 50);
    });

    for (const ordered of [true, false]) {
      it(`those counted that are answered and not read, ${ordered ? 'in order' : 'as they come'}`, async () => {
        const answerer = new Answerer(connection, queue, square);
        const duplex = new RequestDuplex(queue, { connection, concurrency: 5, ordered });
        const source = Readable.from(numbers(100)).pipe(duplex);
        await until(() => duplex.readableLength === 5);
        for (let turn = 0; turn < 20; turn += 1) await nextTurn();
        assert.equal(answerer.requests.length, 5);
        const replies: unknown[] = [];
        for await (const reply of source) {
          replies.push(reply);
          await nextTurn();
          assert.ok(answerer.requests.length <= replies.length + 5, `${answerer.requests.length} asked`);
        }
        assert.deepEqual(replies, squares(numbers(100)));
      });
    }

    it('with one at a time', async () => {
      const answerer = new Answerer(connection, queue, square);
      const duplex = new RequestDuplex(queue, { connection, concurrency: 1, highWaterMark: 1 });
      for (const n of numbers(4)) duplex.write(n);
      await until(() => duplex.readableLength === 1);
      assert.equal(answerer.requests.length, 1);
      duplex.end();
      assert.deepEqual(await duplex.toArray(), [0, 1, 4, 9]);
    });

    it('and in answers of write(): false at highWaterMark beside it', async () => {
      const answerer = new Answerer(connection, queue);
      const duplex = new RequestDuplex(queue, { connection, concurrency: 3, highWaterMark: 4 });
      duplex.write(0);
      await answerer.request(0);
      let written = 2;
      while (duplex.write(written - 1)) written += 1;
      assert.equal(written, 2 + 4);
      const replies = read(duplex);
      const drained = once(duplex, 'drain');
      for (const n of numbers(6)) await answerer.reply(n, n);
      await drained;
      await until(() => replies.length === 6);
      assert.deepEqual(replies, numbers(6));
      duplex.destroy();
    });

    it('and in callbacks of writes, which come when there is room for another', async () => {
      const answerer = new Answerer(connection, queue);
      const duplex = new RequestDuplex(queue, { connection, concurrency: 2 });
      read(duplex);
      const told: number[] = [];
      for (const n of numbers(3)) duplex.write(n, () => told.push(n));
      await answerer.request(1);
      assert.deepEqual(told, [0]);
      await answerer.reply(0, 'a');
      await answerer.request(2);
      assert.deepEqual(told, [0, 1]);
      duplex.destroy();
    });
  });

  describe('fails', () => {
    it('with the error of a request that failed; all others are cancelled', async () => {
      const answerer = await Answerer.watching(connection, queue);
      const duplex = new RequestDuplex(queue, { connection, method: 'halve' });
      const replies = read(duplex);
      for (const n of numbers(5)) duplex.write(n);
      await answerer.request(4);
      const cause = Object.assign(new RangeError('it is odd'), { code: 'E_ODD' });
      await answerer.fail(3, cause);
      const error = await failureOf(duplex);
      assert.ok(error instanceof MillraceError);
      assert.equal(error.code, 'ERR_MILLRACE_REMOTE');
      assert.deepEqual(error.remote, { name: 'RangeError', message: 'it is odd', code: 'E_ODD' });
      for (const part of ['halve', queue, 'it is odd']) assert.ok(error.message.includes(part), error.message);
      assert.deepEqual(replies, []);
      await until(() => answerer.cancelled.length === 4);
      assert.deepEqual(answerer.cancelledParameters, [0, 1, 2, 4]);
    });

    const codes = {
      ERR_MILLRACE_NO_METHOD: 'ERR_MILLRACE_NO_METHOD',
      ERR_MILLRACE_DEAD_LETTER: 'ERR_MILLRACE_DEAD_LETTER',
      ERR_MILLRACE_TIMEOUT: 'ERR_MILLRACE_REMOTE',
      ERR_MILLRACE_CLOSED: 'ERR_MILLRACE_REMOTE',
      toString: 'ERR_MILLRACE_REMOTE',
    };
    for (const [remote, code] of Object.entries(codes)) {
      it(`with ${code} where the other end says ${remote}`, async () => {
        const answerer = new Answerer(connection, queue);
        const duplex = new RequestDuplex(queue, { connection });
        duplex.write(1);
        const said = { name: 'E', message: 'no', code: remote, stack: 'E: no\n    at there' };
        await answerer.say(0, ({ id }) => failureText(id, said));
        const error = await failureOf(duplex);
        assert.equal(error.code, code);
        assert.deepEqual(error.remote, said);
      });
    }

    it('with an error of its own where the other says nothing that can be understood', async () => {
      const answerer = new Answerer(connection, queue);
      const duplex = new RequestDuplex(queue, { connection });
      duplex.write(1);
      await answerer.say(0, ({ id }) =>
        JSON.stringify({ id, success: false, error: { name: 1, message: { a: 1 }, code: 7 } }),
      );
      const error = await failureOf(duplex);
      assert.equal(error.code, 'ERR_MILLRACE_REMOTE');
      assert.deepEqual(error.remote, { name: 'Error', message: 'no message was given', code: '7' });
    });

    for (const data of [null, undefined]) {
      it(`with a reply of ${data}, which no object stream can carry`, async () => {
        const answerer = new Answerer(connection, queue);
        const duplex = new RequestDuplex(queue, { connection });
        duplex.write(1);
        await answerer.reply(0, data);
        const error = await failureOf(duplex);
        assert.equal(error.code, 'ERR_MILLRACE_INVALID_ITEM');
        assert.equal(error.item, 1);
      });
    }

    it('with what JSON cannot say, and tells the writer', async () => {
      const circle: { self?: unknown } = {};
      circle.self = circle;
      for (const value of [1n, circle, () => {}, Symbol('s')]) {
        const duplex = new RequestDuplex(queue, { connection });
        const told = new Promise((resolve) => duplex.write(value, resolve));
        const error = await failureOf(duplex);
        assert.equal(error.code, 'ERR_MILLRACE_INVALID_ITEM');
        assert.equal(error.item, value);
        assert.equal(await told, error);
      }
      assert.deepEqual(await drain(connection, queue), []);
    });

    it('with a request that is larger than maxBytes', async () => {
      const duplex = new RequestDuplex(queue, { connection, maxBytes: 1000 });
      duplex.write('é'.repeat(300));
      duplex.write('é'.repeat(500));
      assert.equal((await failureOf(duplex)).code, 'ERR_MILLRACE_TOO_LARGE');
    });

    it('with a time that is over; what is late is ignored', async () => {
      const answerer = await Answerer.watching(connection, queue);
      const other = new RequestDuplex(queue, { connection });
      await once(other, 'ready');
      const duplex = new RequestDuplex(queue, { connection, method: 'sleep', timeout: 20 });
      duplex.write(1);
      const error = await failureOf(duplex);
      assert.equal(error.code, 'ERR_MILLRACE_TIMEOUT');
      assert.equal(error.retryable, true);
      for (const part of ['sleep', queue, '20 ms']) assert.ok(error.message.includes(part), error.message);
      await answerer.reply(0, 'late');
      await until(() => connection.stats().strayReplies === 1);
      // Its deadline says it.
      assert.deepEqual(answerer.cancelled, []);
      other.destroy();
    });

    it('where nobody is there to work on it', async () => {
      const duplex = new RequestDuplex(queue, { connection, method: 'm', consumerTimeout: 20 });
      duplex.write(1);
      const error = await failureOf(duplex);
      assert.equal(error.code, 'ERR_MILLRACE_NO_CONSUMER');
      assert.equal(error.retryable, true);
      assert.ok(error.message.includes(queue) && error.message.includes('"m"'), error.message);
      // Who comes later shall not work on it in vain.
      assert.deepEqual(await drain(connection, queue), []);
    });

    it('not where somebody is: then it waits on, to the end of its time', async () => {
      const answerer = new Answerer(connection, queue);
      await once(answerer.stream, 'ready');
      await until(async () => (await connection.inspect(queue)).consumers.length === 1);
      const duplex = new RequestDuplex(queue, { connection, consumerTimeout: 1, timeout: 200 });
      duplex.write(1);
      assert.equal((await failureOf(duplex)).code, 'ERR_MILLRACE_TIMEOUT');
      assert.equal(answerer.requests.length, 1);
    });
  });

  describe('with settled: true', () => {
    it('gives what became of each request, in order', async () => {
      const answerer = new Answerer(connection, queue);
      const duplex = new RequestDuplex(queue, { connection, settled: true });
      const outcomes = read(duplex) as { status: string; reason: MillraceError }[];
      for (const n of [1, 2, 3, 4n, 5]) duplex.write(n);
      duplex.end();
      const ended = once(duplex, 'end');
      await answerer.reply(3, undefined);
      await answerer.reply(2, null);
      await answerer.fail(1, new Error('on purpose'));
      await answerer.reply(0, 'one');
      await ended;
      assert.deepEqual(
        outcomes.map(({ reason, ...rest }) => (reason ? { ...rest, reason: reason.code } : rest)),
        [
          { request: 1, status: 'fulfilled', value: 'one' },
          { request: 2, status: 'rejected', reason: 'ERR_MILLRACE_REMOTE' },
          { request: 3, status: 'fulfilled', value: null },
          { request: 4n, status: 'rejected', reason: 'ERR_MILLRACE_INVALID_ITEM' },
          { request: 5, status: 'fulfilled', value: undefined },
        ],
      );
    });

    it('goes on behind those whose time is over', async () => {
      const answerer = new Answerer(connection, queue);
      const duplex = new RequestDuplex(queue, { connection, settled: true, ordered: false, timeout: 100 });
      const outcomes = read(duplex) as { request: number; status: string }[];
      duplex.write(1);
      duplex.write(2);
      await answerer.reply(1, 'two');
      await until(() => outcomes.length === 2);
      duplex.end(3);
      const ended = once(duplex, 'end');
      await answerer.reply(2, 'three');
      await ended;
      assert.deepEqual(
        outcomes.map(({ request, status }) => [request, status]),
        [
          [2, 'fulfilled'],
          [1, 'rejected'],
          [3, 'fulfilled'],
        ],
      );
    });

    it('gives requests that are too large as failed', async () => {
      const duplex = new RequestDuplex(queue, { connection, settled: true, maxBytes: 1000 });
      duplex.end('x'.repeat(1000));
      const [outcome] = await duplex.toArray();
      assert.equal(outcome.reason.code, 'ERR_MILLRACE_TOO_LARGE');
    });
  });

  describe('takes deliveries', () => {
    let jobs: string;
    beforeEach(() => {
      jobs = uniqueQueue();
    });

    it('and gives them with the replies, to be settled by who comes next', async () => {
      new Answerer(connection, queue, square);
      await push(connection, jobs, numbers(100));
      const results = uniqueQueue();
      const source = new DeliveryStream(jobs, { connection });
      const sink = new PushStream(results, { connection });
      const running = pipeline(source, new RequestDuplex(queue, { connection }), sink);
      assert.deepEqual(await take(connection, results, 100), squares(numbers(100)));
      await source.close();
      await running;
      assert.deepEqual(await drain(connection, jobs), []);
    });

    it('and with settled: true gives them with what became of the requests', async () => {
      const answerer = new Answerer(connection, queue);
      await push(connection, jobs, ['a', 'b', 'c']);
      const source = new DeliveryStream(jobs, { connection });
      const outcomes: unknown[] = [];
      const sink = new AckStream(({ reason, ...rest }) => void outcomes.push({ ...rest, code: reason?.code }));
      source.pipe(new RequestDuplex(queue, { connection, settled: true })).pipe(sink);
      await answerer.fail(0, new Error('no'));
      await answerer.reply(1, null);
      await answerer.reply(2, 3);
      await until(() => outcomes.length === 3);
      assert.deepEqual(outcomes, [
        { request: 'a', status: 'rejected', code: 'ERR_MILLRACE_REMOTE' },
        { request: 'b', status: 'fulfilled', value: null, code: undefined },
        { request: 'c', status: 'fulfilled', value: 3, code: undefined },
      ]);
    });

    it('and carries a reply of null with one', async () => {
      new Answerer(connection, queue, () => null);
      await push(connection, jobs, ['a']);
      const source = new DeliveryStream(jobs, { connection });
      const duplex = source.pipe(new RequestDuplex(queue, { connection }));
      const [delivery] = await once(duplex, 'data');
      assert.equal(delivery.value, null);
      assert.equal(await delivery.ack(), true);
    });

    it('and puts back all that are inside when it fails, retries what it fails of, and leaves what it has handed out', async () => {
      const answerer = new Answerer(connection, queue);
      await push(connection, jobs, numbers(20));
      // It does not fail with the stream: what comes back comes from there.
      const source = new DeliveryStream<number>(jobs, { connection, backoff: 0 });
      const taken: Delivery<number>[] = [];
      source.on('data', (delivery) => taken.push(delivery));
      await until(() => taken.length === 20);
      const duplex = new RequestDuplex(queue, { connection, concurrency: 8 });
      for (const delivery of taken) duplex.write(delivery);
      await answerer.reply(0, 'out');
      await once(duplex, 'readable');
      const out: Delivery = duplex.read();
      assert.equal(out.value, 'out');
      // One is answered and not read, one is answered and waits for the one before it, others are not answered, or not asked.
      await answerer.reply(1, 'unread');
      await until(() => duplex.readableLength === 1);
      await answerer.reply(3, 'waits');
      await answerer.fail(5, new Error('on purpose'));
      await failureOf(duplex);
      assert.equal(duplex.read(), null);
      assert.equal(await out.ack(), true);
      await until(() => taken.length === 39);
      const back = taken.slice(20).map(({ value, attempt }) => [value, attempt] as const);
      assert.deepEqual(
        back.toSorted(([a], [b]) => a - b),
        numbers(19, 1).map((n) => [n, n === 5 ? 2 : 1]),
      );
    });

    it('and puts back those that were given up as it was destroyed, unordered too', async () => {
      const answerer = new Answerer(connection, queue);
      await push(connection, jobs, numbers(6));
      const source = new DeliveryStream<number>(jobs, { connection });
      const taken: Delivery<number>[] = [];
      source.on('data', (delivery) => taken.push(delivery));
      await until(() => taken.length === 6);
      const duplex = new RequestDuplex(queue, { connection, concurrency: 3, ordered: false });
      for (const delivery of taken) duplex.write(delivery);
      await answerer.reply(1, 'unread');
      await until(() => duplex.readableLength === 1);
      duplex.destroy();
      await closed(duplex);
      await until(() => taken.length === 12);
      assert.deepEqual(
        taken.slice(6).map(({ value }) => value),
        numbers(6),
      );
    });

    it('and leaves out those that are not held any more', async () => {
      const answerer = new Answerer(connection, queue, square);
      await push(connection, jobs, [1]);
      const source = new DeliveryStream(jobs, { connection });
      const [delivery] = await once(source, 'data');
      await delivery.ack();
      const duplex = new RequestDuplex(queue, { connection });
      duplex.write(delivery);
      duplex.end(3);
      assert.deepEqual(await duplex.toArray(), [9]);
      assert.deepEqual(answerer.parameters, [3]);
    });

    it('and retries one that cannot be asked with, until it is a dead letter', async () => {
      await push(connection, jobs, ['x'.repeat(2000)]);
      const source = new DeliveryStream(jobs, { connection, maxAttempts: 1 });
      const [delivery] = await once(source, 'data');
      source.pause();
      const duplex = new RequestDuplex(queue, { connection, maxBytes: 1000 });
      duplex.write(delivery);
      assert.equal((await failureOf(duplex)).code, 'ERR_MILLRACE_TOO_LARGE');
      assert.equal(await delivery.ack(), false);
      await source.close();
      assert.equal((await connection.inspect(jobs)).dead, 1);
    });
  });

  describe('ignores, and counts,', () => {
    it('replies that are doubled, late, forged, malformed, or for nobody', async () => {
      const answerer = new Answerer(connection, queue);
      const driver = await driverUnder(connection);
      const duplex = new RequestDuplex(queue, { connection });
      const replies = read(duplex);
      duplex.write(1);
      duplex.write(2);
      const { id, channel } = (await answerer.request(0)).value;
      const [slot, generation] = id.split('-') as [string, string];
      const forged = [
        replyText(`${slot}-${generation}0`, 'forged'),
        replyText(`${slot}-`, 'forged'),
        replyText(`${slot}`, 'forged'),
        replyText('', 'forged'),
        replyText('-1', 'forged'),
        replyText('zzzzzzzzzzzzzzzzzzzzzz-1', 'forged'),
        replyText('__proto__', 'forged'),
        replyText('length', 'forged'),
        JSON.stringify({ id }),
        JSON.stringify({ id, success: 'yes', data: 'forged' }),
        JSON.stringify({ id, success: false }),
        JSON.stringify({ id: 1, success: true }),
        'null',
        '1',
        '[]',
      ];
      await driver.reply(forged.map((text) => ({ channel, text })));
      await until(() => connection.stats().strayReplies === forged.length);
      assert.deepEqual(replies, []);
      await driver.reply([1, 2, 3].map((n) => ({ channel, text: replyText(id, `reply ${n}`) })));
      await until(() => connection.stats().strayReplies === forged.length + 2);
      await answerer.reply(1, 'other');
      await until(() => replies.length === 2);
      assert.deepEqual(replies, ['reply 1', 'other']);
      // Another request may have its place, and has another id.
      duplex.write(3);
      await answerer.request(2);
      await driver.reply([{ channel, text: replyText(id, 'very late') }]);
      await until(() => connection.stats().strayReplies === forged.length + 3);
      await answerer.reply(2, 'third');
      await until(() => replies.length === 3);
      assert.deepEqual(replies.slice(2), ['third']);
    });
  });

  describe('ends', () => {
    it('when all is answered and read; it finishes before', async () => {
      const answerer = new Answerer(connection, queue);
      const duplex = new RequestDuplex(queue, { connection });
      const events: string[] = [];
      for (const event of ['finish', 'end', 'close']) duplex.on(event, () => events.push(event));
      duplex.write(1);
      duplex.end(2);
      await answerer.reply(0, 'a');
      await nextTurn();
      assert.deepEqual(events, []);
      await answerer.reply(1, 'b');
      await until(() => events.length > 0);
      assert.deepEqual(events, ['finish']);
      assert.deepEqual(await duplex.toArray(), ['a', 'b']);
      await until(() => events.length === 3);
      assert.deepEqual(events, ['finish', 'end', 'close']);
    });

    it('also when nothing was asked', async () => {
      const duplex = new RequestDuplex(queue, { connection });
      duplex.end();
      assert.deepEqual(await duplex.toArray(), []);
      await closed(duplex);
    });

    it('with a pipeline that fails behind it, and is cancelled', async () => {
      const answerer = await Answerer.watching(connection, queue);
      const sink = new Writable({
        objectMode: true,
        write: (_reply, _encoding, next) => next(new Error('on purpose')),
      });
      const duplex = new RequestDuplex(queue, { connection });
      const source = new Readable({ objectMode: true, read: () => {} });
      for (const n of numbers(5)) source.push(n);
      const running = pipeline(source, duplex, sink);
      await answerer.request(4);
      await answerer.reply(0, 'a');
      await assert.rejects(running, /on purpose/);
      await until(() => answerer.cancelled.length === 4);
      assert.deepEqual(answerer.cancelledParameters, [1, 2, 3, 4]);
    });
  });

  describe('cancels what is in flight', () => {
    it('when it is destroyed: what was not sent is not sent', async () => {
      const duplex = new RequestDuplex(queue, { connection, concurrency: 2000 });
      await once(duplex, 'ready');
      for (const n of numbers(1000)) duplex.write(n);
      duplex.destroy();
      await closed(duplex);
      assert.deepEqual(await drain(connection, queue), []);
    });

    it('when it is destroyed: what is in the queue is taken out of it', async () => {
      const duplex = new RequestDuplex(queue, { connection });
      for (const n of numbers(10)) duplex.write(n);
      await until(async () => (await connection.inspect(queue)).waiting === 10);
      const other = new RequestDuplex(queue, { connection });
      other.write('other');
      await until(async () => (await connection.inspect(queue)).waiting === 11);
      duplex.destroy();
      await closed(duplex);
      assert.deepEqual(await left(connection, queue), ['other']);
      other.destroy();
    });

    it('when its signal is aborted', async () => {
      const answerer = await Answerer.watching(connection, queue);
      const controller = new AbortController();
      const duplex = new RequestDuplex(queue, { connection, signal: controller.signal });
      duplex.write(1);
      await answerer.request(0);
      controller.abort('reason');
      const error = await failureOf(duplex);
      assert.equal(error.name, 'AbortError');
      assert.equal(error.cause, 'reason');
      await until(() => answerer.cancelled.length === 1);
    });

    it('when the loop that reads it is left', async () => {
      const answerer = await Answerer.watching(connection, queue);
      for (const iterate of [(duplex: RequestDuplex) => duplex, (duplex: RequestDuplex) => duplex.replies()]) {
        const duplex = new RequestDuplex(queue, { connection });
        const count = answerer.requests.length;
        for (const n of numbers(3)) duplex.write(n);
        await answerer.request(count + 2);
        void answerer.reply(count, 'a');
        for await (const reply of iterate(duplex)) {
          assert.equal(reply, 'a');
          break;
        }
        await closed(duplex);
        await until(() => answerer.cancelled.length === (count / 3 + 1) * 2);
      }
    });

    it('and tells the writers of what was not asked', async () => {
      const answerer = new Answerer(connection, queue);
      for (const isOpen of [false, true]) {
        const duplex = new RequestDuplex(queue, { connection, concurrency: 1 });
        const told: boolean[] = [];
        for (const n of numbers(3)) duplex.write(n, (error) => (told[n] = error instanceof Error));
        if (isOpen) await answerer.request(0);
        duplex.destroy();
        await closed(duplex);
        assert.deepEqual(told, [!isOpen, true, true]);
        assert.equal(duplex.errored, null);
      }
      assert.equal(answerer.requests.length, 1);
    });
  });

  describe('is closed', () => {
    it('when all is answered', async () => {
      const answerer = new Answerer(connection, queue);
      const duplex = new RequestDuplex(queue, { connection });
      const replies = read(duplex);
      duplex.write(1);
      duplex.write(2);
      const closing = Promise.all([duplex.close(), duplex.close()]);
      await answerer.reply(1, 'b');
      await answerer.reply(0, 'a');
      await closing;
      await duplex.close();
      assert.deepEqual(replies, ['a', 'b']);
    });

    it('though nobody has read it, and can be read then', async () => {
      new Answerer(connection, queue, square);
      const duplex = new RequestDuplex(queue, { connection });
      duplex.write(3);
      await duplex.close();
      assert.deepEqual(await duplex.toArray(), [9]);
    });

    it('when its time is over: then it fails, and what is pending is cancelled', async () => {
      const answerer = await Answerer.watching(connection, queue);
      const duplex = new RequestDuplex(queue, { connection });
      duplex.write(1);
      await answerer.request(0);
      await assert.rejects(duplex.close({ timeout: 20 }), { code: 'ERR_MILLRACE_CLOSED' });
      assert.ok(duplex.closed);
      await until(() => answerer.cancelled.length === 1);
    });

    it('behind await using', async () => {
      new Answerer(connection, queue, square);
      const replies: unknown[] = [];
      {
        await using duplex = new RequestDuplex(queue, { connection });
        duplex.on('data', (reply) => replies.push(reply));
        for (const n of numbers(100)) duplex.write(n);
      }
      assert.deepEqual(replies, squares(numbers(100)));
    });

    it('with its connection, which waits for answers', async () => {
      const own = connect(broker().url);
      const answerer = new Answerer(connection, queue);
      const duplex = new RequestDuplex(queue, { connection: own });
      const replies = read(duplex);
      duplex.write(1);
      await answerer.request(0);
      const closing = own.close();
      await answerer.reply(0, 'a');
      await closing;
      assert.deepEqual(replies, ['a']);
      await closed(duplex);
    });

    it('with its connection, which does not wait longer than it may', async () => {
      const own = connect(broker().url);
      const answerer = await Answerer.watching(connection, queue);
      const duplex = new RequestDuplex(queue, { connection: own });
      duplex.write(1);
      await answerer.request(0);
      await assert.rejects(own.close({ timeout: 50 }), { code: 'ERR_MILLRACE_CLOSED' });
      assert.equal((await failureOf(duplex)).code, 'ERR_MILLRACE_CLOSED');
      await until(() => answerer.cancelled.length === 1);
    });
  });

  it('shares one place for replies with all who ask on its connection, and closes it behind the last', async () => {
    const answerer = new Answerer(connection, queue);
    const one = new RequestDuplex(queue, { connection });
    const client = new Client(queue, { connection });
    one.write(1);
    const asked = client.request('m', 2);
    await answerer.request(1);
    const channels = answerer.requests.map(({ value }) => value.channel);
    assert.equal(channels[0], channels[1]);
    await answerer.reply(0, 'a');
    await answerer.reply(1, 'b');
    await asked;
    await client.close();
    one.destroy();
    await closed(one);
    const later = new RequestDuplex(queue, { connection });
    later.write(3);
    assert.notEqual((await answerer.request(2)).value.channel, channels[0]);
    later.destroy();
  });

  it('leaves what a listener throws to its owner', async () => {
    new Answerer(connection, queue, square);
    const duplex = new RequestDuplex(queue, { connection });
    const replies: unknown[] = [];
    duplex.on('data', (reply) => {
      replies.push(reply);
      if (reply === 1) throw new Error('on purpose');
    });
    const mocha = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    const thrown = once(process, 'uncaughtException');
    for (const n of numbers(5)) duplex.write(n);
    const [error] = await thrown;
    for (const listener of mocha) process.on('uncaughtException', listener);
    assert.match(error.message, /on purpose/);
    await until(() => replies.length === 5);
    duplex.destroy();
  });
});

describe('RequestDuplex', () => {
  it('checks its arguments', () => {
    const make = (options: unknown) => () => new RequestDuplex('q', options as never);
    const type = { code: 'ERR_INVALID_ARG_TYPE' };
    const value = { code: 'ERR_INVALID_ARG_VALUE' };
    const range = { code: 'ERR_OUT_OF_RANGE' };
    assert.throws(() => new RequestDuplex(7 as never), type);
    assert.throws(() => new RequestDuplex('a b'), value);
    assert.throws(make({ codec: 'json' }), { ...value, message: /codec/ });
    assert.throws(make({ cuncurrency: 1 }), value);
    assert.throws(make({ concurrency: 0 }), range);
    assert.throws(make({ timeout: 0 }), range);
    assert.throws(make({ timeout: 2 ** 31 }), range);
    assert.throws(make({ timeout: '1' }), type);
    assert.throws(make({ consumerTimeout: 0 }), range);
    assert.throws(make({ maxBytes: 0 }), range);
    assert.throws(make({ ordered: 'yes' }), type);
    assert.throws(make({ settled: 1 }), type);
    assert.throws(make({ method: '' }), value);
    assert.throws(make({ method: 1 }), type);
    assert.throws(make({ signal: {} }), type);
    for (const headers of ['a', null, [], { a: 1 }, new Map(), { a: undefined }])
      assert.throws(make({ headers }), type);
    assert.throws(make({ connection: 1 }), type);
  });

  it('needs a connection that is open', async () => {
    const connection = connect('memory:');
    await connection.close();
    assert.throws(() => new RequestDuplex('q', { connection }), { code: 'ERR_MILLRACE_CLOSED' });
  });
});
