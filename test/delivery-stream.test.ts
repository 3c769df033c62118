import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import * as v from 'valibot';
import {
  AckStream,
  type Connection,
  connect,
  type Delivery,
  DeliveryStream,
  PushStream,
  registerDriver,
} from '../lib/index.ts';
import { describeEach, uniqueQueue } from './support/brokers.ts';
import { random, seed } from './support/random.ts';
import { closed, drain, nextTurn, numbers, push, until } from './support/streams.ts';

/** The next `count` deliveries of a stream, which goes on; later ones go on to be added. */
async function gather<T>(stream: DeliveryStream<T>, count: number): Promise<Delivery<T>[]> {
  const deliveries: Delivery<T>[] = [];
  stream.on('data', (delivery) => deliveries.push(delivery));
  await until(() => deliveries.length >= count);
  return deliveries;
}

function valuesOf(deliveries: readonly Delivery[]): unknown[] {
  return deliveries.map(({ value }) => value);
}

/** The next warning with a code. */
async function warning(code: string): Promise<Error> {
  for (;;) {
    const [warning] = await once(process, 'warning');
    if (warning.code === code) return warning;
  }
}

describeEach('DeliveryStream', (broker) => {
  let connection: Connection;
  let queue: string;
  beforeEach(() => {
    connection = connect(broker().url);
    queue = uniqueQueue();
  });
  afterEach(() => connection.close({ timeout: 2000 }));

  it('gives deliveries in the order in which their values were pushed', async () => {
    await push(connection, queue, numbers(1000));
    const values: unknown[] = [];
    for await (const delivery of new DeliveryStream(queue, { connection })) {
      assert.equal(delivery.queue, queue);
      assert.equal(delivery.attempt, 1);
      assert.equal(delivery.signal.aborted, false);
      values.push(delivery.value);
      void delivery.ack();
      if (values.length === 1000) break;
    }
    assert.deepEqual(values, numbers(1000));
  });

  it('deletes what is acknowledged, and puts back the rest', async () => {
    await push(connection, queue, numbers(10));
    const stream = new DeliveryStream(queue, { connection });
    const deliveries = await gather(stream, 10);
    for (const delivery of deliveries.slice(0, 4)) assert.equal(await delivery.ack(), true);
    stream.destroy();
    await closed(stream);
    assert.deepEqual(await drain(connection, queue), numbers(6, 4));
  });

  it('waits for what comes later', async () => {
    const stream = new DeliveryStream(queue, { connection });
    const data = once(stream, 'data');
    await once(stream, 'ready');
    await push(connection, queue, ['late']);
    const [delivery] = await data;
    assert.equal(delivery.value, 'late');
    await delivery.ack();
    stream.destroy();
  });

  for (const highWaterMark of [1, 2, 3, 5, 16]) {
    it(`has no more than ${highWaterMark} unsettled, and as many where somebody gathers them`, async () => {
      await push(connection, queue, numbers(40));
      const stream = new DeliveryStream(queue, { connection, highWaterMark });
      const deliveries = await gather(stream, highWaterMark);
      const rest = await drain(connection, queue);
      assert.deepEqual(rest, numbers(40 - highWaterMark, highWaterMark));
      await push(connection, queue, rest);
      for (let next = 0; next < 40; next += 1) {
        await until(() => deliveries.length > next);
        assert.ok(deliveries.length <= next + highWaterMark);
        assert.equal(await deliveries[next]?.ack(), true);
      }
      assert.deepEqual(valuesOf(deliveries), numbers(40));
      stream.destroy();
    });
  }

  it('holds nothing beside what a slow handler works on', async () => {
    await push(connection, queue, numbers(100));
    const started: unknown[] = [];
    const stream = new DeliveryStream(queue, { connection });
    const sink = stream.pipe(
      new AckStream((value, { signal }) => {
        started.push(value);
        return once(signal, 'abort');
      }),
    );
    await until(() => started.length === 1);
    assert.deepEqual(await drain(connection, queue), numbers(99, 1));
    stream.destroy();
    await closed(stream);
    assert.deepEqual(await drain(connection, queue), [0]);
    sink.destroy();
  });

  it('takes nothing while it is paused and nobody is at work, and goes on when it is resumed', async () => {
    const stream = new DeliveryStream(queue, { connection });
    const deliveries = gather(stream, 1);
    await push(connection, queue, [0]);
    const [first] = await deliveries;
    stream.pause();
    await first?.ack();
    // A pipe is paused for moments, too, so it is not believed at once.
    for (const _ of numbers(3)) await nextTurn();
    await push(connection, queue, [1, 2]);
    const held = 2 - (await drain(connection, queue)).length;
    // A take that was under way may have met the first.
    assert.ok(held <= 1, `took ${held}`);
    await push(connection, queue, [3]);
    stream.resume();
    await until(async () => (await deliveries).length === 2 + held);
    assert.equal((await deliveries).at(-1)?.value, 3);
    stream.destroy();
  });

  it("gives all to who listens to 'readable', and reads one at each", async () => {
    await push(connection, queue, numbers(50));
    const stream = new DeliveryStream(queue, { connection });
    const values: unknown[] = [];
    stream.on('readable', () => {
      const delivery = stream.read();
      if (delivery) values.push(delivery.value);
      void delivery?.ack();
    });
    await until(() => values.length === 50);
    assert.deepEqual(values, numbers(50));
    stream.destroy();
  });

  it('gives all to who only calls read()', async () => {
    await push(connection, queue, numbers(20));
    const stream = new DeliveryStream(queue, { connection });
    const values: unknown[] = [];
    await until(() => {
      const delivery = stream.read();
      if (delivery) values.push(delivery.value);
      void delivery?.ack();
      return values.length === 20;
    });
    assert.deepEqual(values, numbers(20));
    stream.destroy();
    assert.equal(stream.read(), null);
  });

  it('delivers again what is retried, as one attempt more', async () => {
    await push(connection, queue, ['a']);
    const stream = new DeliveryStream(queue, { connection, backoff: 0 });
    const retried = once(stream, 'retry');
    const deliveries = await gather(stream, 1);
    const reason = new Error('not today');
    assert.equal(await deliveries[0]?.retry({ reason }), true);
    assert.deepEqual(await retried, [{ value: 'a', attempt: 1, delay: 0, reason }]);
    await until(() => deliveries.length === 2);
    assert.equal(deliveries[1]?.value, 'a');
    assert.equal(deliveries[1]?.attempt, 2);
    assert.equal(await deliveries[1]?.ack(), true);
    stream.destroy();
    await closed(stream);
    assert.deepEqual(await drain(connection, queue), []);
  });

  it('waits as long as backoff says, or retry() itself', async () => {
    await push(connection, queue, ['a', 'b', 'c']);
    const stream = new DeliveryStream(queue, { connection, backoff: (attempt) => attempt * 40.4 });
    const delays: number[] = [];
    stream.on('retry', ({ delay }) => delays.push(delay));
    const deliveries = await gather(stream, 3);
    await deliveries[0]?.retry();
    await deliveries[1]?.retry({ delay: 0 });
    await until(() => deliveries.length === 5);
    await deliveries.find(({ value, attempt }) => value === 'a' && attempt === 2)?.retry();
    await until(() => delays.length === 3);
    assert.deepEqual(delays, [40, 0, 81]);
    stream.destroy();
  });

  for (const backoff of [
    () => -1,
    () => 'soon' as unknown as number,
    () => Number.NaN,
    () => {
      throw new Error('on purpose');
    },
  ]) {
    it(`waits for a second where backoff is ${backoff}`, async () => {
      await push(connection, queue, ['a']);
      const stream = new DeliveryStream(queue, { connection, backoff });
      const warned = warning('MILLRACE_BACKOFF');
      const retried = once(stream, 'retry');
      const [delivery] = await gather(stream, 1);
      assert.equal(await delivery?.retry(), true);
      assert.equal((await retried)[0].delay, 1000);
      assert.match((await warned).message, new RegExp(queue));
      stream.destroy();
    });
  }

  it('gives an item up after maxAttempts', async () => {
    await push(connection, queue, ['a', 'b']);
    const stream = new DeliveryStream(queue, { connection, backoff: 0, maxAttempts: 3 });
    const dead = once(stream, 'dead');
    const reason = new Error('never');
    const attempts: number[] = [];
    stream.on('data', (delivery) => {
      if (delivery.value === 'b') return void delivery.ack();
      attempts.push(delivery.attempt);
      void delivery.retry({ reason });
    });
    assert.deepEqual(await dead, [{ value: 'a', attempt: 3, reason }]);
    assert.deepEqual(attempts, [1, 2, 3]);
    stream.destroy();
    await closed(stream);
    assert.deepEqual(await drain(connection, queue), []);
  });

  it('sends to the dead letters what nobody can read, and goes on', async () => {
    await push(connection, queue, [{ n: 1 }, { n: 'x' }, { n: 'a long one '.repeat(20) }]);
    const raw = new PushStream(queue, { connection, codec: 'raw' });
    await raw.send('{');
    await raw.send('null');
    raw.end();
    await push(connection, queue, [{ n: 2 }]);
    const invalid: (Error & { code: string; item: Buffer })[] = [];
    const schema = v.object({ n: v.number() });
    const stream = new DeliveryStream(queue, { connection, schema, maxBytes: 100 });
    stream.on('invalid', (error) => invalid.push(error));
    stream.on('dead', assert.fail);
    const deliveries = await gather(stream, 2);
    await until(() => invalid.length === 4);
    const [first] = deliveries;
    // The type of a value is the schema's.
    assert.equal((first?.value.n ?? 0) + 1, 2);
    assert.deepEqual(valuesOf(deliveries), [{ n: 1 }, { n: 2 }]);
    const codes = invalid.map(({ code, item }) => [code, item.toString().slice(0, 6)]);
    assert.deepEqual(codes, [
      ['ERR_MILLRACE_INVALID_ITEM', '{"n":"'],
      ['ERR_MILLRACE_TOO_LARGE', '{"n":"'],
      ['ERR_MILLRACE_INVALID_ITEM', '{'],
      ['ERR_MILLRACE_INVALID_ITEM', 'null'],
    ]);
    for (const delivery of deliveries) await delivery.ack();
    stream.destroy();
    await closed(stream);
    assert.deepEqual(await drain(connection, queue), []);
  });

  it('does not wait for a schema when it is closed', async () => {
    await push(connection, queue, numbers(3));
    const answers: (() => void)[] = [];
    const validate = async (value: unknown): Promise<{ value: unknown }> => {
      await new Promise<void>((resolve) => answers.push(resolve));
      return { value };
    };
    const schema = { '~standard': { version: 1, vendor: 'test', validate } } as const;
    const stream = new DeliveryStream(queue, { connection, schema });
    stream.on('data', assert.fail);
    await until(() => answers.length === 1);
    const closing = stream.close();
    for (const answer of answers) answer();
    await closing;
    assert.deepEqual(await drain(connection, queue), numbers(3));
    assert.equal(answers.length, 1);
  });

  describe('under a name', () => {
    it('loses what it holds to who starts under the same', async () => {
      await push(connection, queue, numbers(3));
      const options = { connection, consumer: 'worker-1', leaseTimeout: 1000 };
      const former = new DeliveryStream(queue, options);
      const lost: unknown[] = [];
      former.on('lost', (about) => lost.push(about));
      const failed = once(former, 'error');
      const before = await gather(former, 3);
      assert.deepEqual(valuesOf(before), numbers(3));
      const settled = before[0]?.ack();
      await settled;
      const stream = new DeliveryStream(queue, options);
      const after = await gather(stream, 2);
      assert.deepEqual(valuesOf(after.slice(0, 2)), [1, 2]);
      assert.equal((await failed)[0].code, 'ERR_MILLRACE_FENCED');
      await closed(former);
      assert.equal(before[1]?.signal.reason.code, 'ERR_MILLRACE_LEASE_LOST');
      assert.equal(await before[1]?.ack(), false);
      assert.deepEqual(lost, [
        { value: 1, attempt: 1 },
        { value: 2, attempt: 1 },
      ]);
      for (const delivery of after) assert.equal(await delivery.ack(), true);
      stream.destroy();
    });

    it('has at once what it held before', async () => {
      await push(connection, queue, numbers(3));
      const options = { connection, consumer: 'worker-2' };
      const former = new DeliveryStream(queue, options);
      await gather(former, 3);
      former.destroy();
      const deliveries = await gather(new DeliveryStream(queue, options), 3);
      assert.deepEqual(valuesOf(deliveries), numbers(3));
      await Promise.all(deliveries.map((delivery) => delivery.ack()));
    });
  });

  describe('closed', () => {
    it('puts back what nobody has read, ends, and is closed when what was read is settled', async () => {
      await push(connection, queue, numbers(100));
      const stream = new DeliveryStream(queue, { connection, highWaterMark: 16 });
      const deliveries: Delivery[] = [];
      stream.on('data', (delivery) => {
        deliveries.push(delivery);
        if (deliveries.length < 10) return;
        stream.pause();
      });
      await until(() => deliveries.length === 10);
      const ended = once(stream, 'end');
      const closing = stream.close();
      await ended;
      assert.equal(stream.closed, false);
      assert.deepEqual(await drain(connection, queue), numbers(90, 10));
      for (const delivery of deliveries) assert.equal(await delivery.ack(), true);
      await closing;
      assert.equal(stream.closed, true);
      assert.deepEqual(await drain(connection, queue), []);
    });

    it('puts back what is not settled in time, and aborts its signal', async () => {
      await push(connection, queue, numbers(3));
      const stream = new DeliveryStream(queue, { connection });
      const deliveries = await gather(stream, 3);
      const { signal } = deliveries[1] as Delivery;
      await deliveries[0]?.ack();
      stream.on('error', assert.fail);
      await stream.close({ timeout: 60 });
      assert.equal(signal.reason.code, 'ERR_MILLRACE_CLOSED');
      for (const delivery of deliveries) assert.equal(await delivery.ack(), false);
      assert.equal(deliveries[2]?.signal.aborted, true);
      assert.deepEqual(await drain(connection, queue), [1, 2]);
    });

    it('puts back at once what nobody reads', async () => {
      await push(connection, queue, numbers(10));
      for (const listen of [() => {}, (stream: DeliveryStream) => stream.on('readable', () => {})]) {
        const stream = new DeliveryStream(queue, { connection });
        listen(stream);
        await once(stream, 'ready');
        await stream.close({ timeout: 50_000 });
      }
      assert.deepEqual(await drain(connection, queue), numbers(10));
    });

    it('closes before it has opened', async () => {
      await push(connection, queue, numbers(10));
      const stream = new DeliveryStream(queue, { connection });
      const reading = (async () => {
        for await (const delivery of stream) await delivery.release();
      })();
      await stream.close();
      await reading;
      await stream.close();
      assert.deepEqual(await drain(connection, queue), numbers(10));
    });

    it('ends a for await loop, of which the last may be settled behind it', async () => {
      await push(connection, queue, numbers(5));
      const stream = new DeliveryStream(queue, { connection });
      const deliveries: Delivery[] = [];
      let closing: Promise<void> | undefined;
      for await (const delivery of stream) {
        deliveries.push(delivery);
        if (deliveries.length === 3) closing = stream.close();
      }
      for (const delivery of deliveries) assert.equal(await delivery.ack(), true);
      await closing;
      assert.deepEqual([...valuesOf(deliveries), ...(await drain(connection, queue))], numbers(5));
    });

    it('may be destroyed while it waits', async () => {
      await push(connection, queue, numbers(2));
      const stream = new DeliveryStream(queue, { connection });
      await gather(stream, 2);
      const ended = once(stream, 'end');
      const closing = stream.close({ timeout: 50_000 });
      await ended;
      stream.destroy();
      await closing;
      assert.deepEqual(await drain(connection, queue), numbers(2));
    });
  });

  it('puts back behind await using', async () => {
    await push(connection, queue, numbers(5));
    let last: Delivery | undefined;
    {
      await using stream = new DeliveryStream(queue, { connection });
      [last] = await gather(stream, 5);
    }
    assert.equal(last?.signal.reason.code, 'ERR_MILLRACE_CLOSED');
    assert.deepEqual(await drain(connection, queue), numbers(5));
  });

  it('puts back everything where the pipeline that it is in fails', async () => {
    await push(connection, queue, numbers(50));
    const stream = new DeliveryStream(queue, { connection });
    let seen = 0;
    const breaks = new Writable({
      objectMode: true,
      write: (delivery, _encoding, callback) => {
        seen += 1;
        if (seen <= 5) void delivery.ack();
        callback(seen === 20 ? new Error('on purpose') : null);
      },
    });
    await assert.rejects(pipeline(stream, breaks), /on purpose/);
    await closed(stream);
    assert.deepEqual(await drain(connection, queue), numbers(45, 5));
  });

  it('warns once when nothing that is in use is settled', async () => {
    await push(connection, queue, numbers(5));
    const warned = warning('MILLRACE_UNSETTLED');
    const stream = new DeliveryStream(queue, { connection, highWaterMark: 3, leaseTimeout: 100 });
    await gather(stream, 3);
    assert.match((await warned).message, new RegExp(`All 3 .*"${queue}"`));
    stream.destroy();
  });

  it('lets a listener that throws harm nothing else', async () => {
    await push(connection, queue, numbers(5));
    const thrown: unknown[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException').on('uncaughtException', (error) => thrown.push(error.message));
    try {
      const stream = new DeliveryStream(queue, { connection, backoff: 0 });
      stream.on('retry', () => {
        throw new Error('a retry');
      });
      const acknowledged: unknown[] = [];
      stream.on('data', (delivery) => {
        if (delivery.attempt === 1) {
          void delivery.retry();
          throw new Error('some data');
        }
        acknowledged.push(delivery.value);
        void delivery.ack();
      });
      await until(() => acknowledged.length === 5 && thrown.length === 10);
      stream.destroy();
      await closed(stream);
    } finally {
      process.removeAllListeners('uncaughtException');
      for (const listener of listeners) process.on('uncaughtException', listener);
    }
    assert.deepEqual(await drain(connection, queue), []);
  });

  describe('stops without losing an item', () => {
    const ways: Record<string, (stream: DeliveryStream, controller: AbortController) => unknown> = {
      'destroy()': (stream) => stream.destroy(),
      'close()': (stream) => stream.close({ timeout: 40 }),
      'an abort': (_stream, controller) => controller.abort(),
    };
    for (const [name, stop] of Object.entries(ways)) {
      it(`by ${name}, 100 times against a producer (seed ${seed})`, async () => {
        const dice = random();
        const source = new PushStream(queue, { connection });
        for (let round = 0; round < 100; round += 1) {
          const controller = new AbortController();
          const highWaterMark = 1 + Math.floor(dice() * 12);
          const stream = new DeliveryStream(queue, { connection, highWaterMark, signal: controller.signal });
          stream.on('error', (error) => assert.equal(error.name, 'AbortError'));
          const done: unknown[] = [];
          const count = 1 + Math.floor(dice() * 6);
          let stopped = false;
          stream.on('data', async (delivery: Delivery) => {
            if (dice() < 0.5) await nextTurn();
            if (await delivery.ack()) done.push(delivery.value);
            if (done.length < count || stopped) return;
            stopped = true;
            stop(stream, controller);
          });
          for (let n = 0; n < 10; n += 1) {
            if (dice() < 0.3) await nextTurn();
            await source.send(round * 10 + n);
          }
          await closed(stream);
          const rest = await drain(connection, queue);
          assert.deepEqual(
            [...done, ...rest].sort((a, b) => Number(a) - Number(b)),
            numbers(10, round * 10),
            `round ${round}`,
          );
        }
        source.end();
      });
    }
  });
});

describe('DeliveryStream', () => {
  it('checks its arguments', () => {
    const make = (options: object) => () => new DeliveryStream('q', { connection: 'memory:', ...options });
    assert.throws(() => new DeliveryStream('a queue'), { code: 'ERR_INVALID_ARG_VALUE' });
    assert.throws(make({ highWaterMark: 0 }), { code: 'ERR_OUT_OF_RANGE' });
    assert.throws(make({ leaseTimeout: 99 }), { code: 'ERR_OUT_OF_RANGE' });
    assert.throws(make({ maxAttempts: 0 }), { code: 'ERR_OUT_OF_RANGE' });
    assert.throws(make({ backoff: -1 }), { code: 'ERR_OUT_OF_RANGE' });
    assert.throws(make({ backoff: '1s' }), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(make({ consumer: '' }), { code: 'ERR_INVALID_ARG_VALUE' });
    assert.throws(make({ consumer: 'a b' }), { code: 'ERR_INVALID_ARG_VALUE' });
    assert.throws(make({ consumer: 1 }), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(make({ side: 'left' }), { code: 'ERR_INVALID_ARG_VALUE' });
  });

  it('is refused where the broker knows no deliveries', () => {
    const connecting = (): never => assert.fail('it was asked to connect');
    registerDriver('test-none', { supports: {} as never, connect: connecting });
    assert.throws(() => new DeliveryStream('q', { connection: 'test-none:' }), {
      code: 'ERR_MILLRACE_NOT_SUPPORTED',
    });
  });
});
