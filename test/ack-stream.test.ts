import assert from 'node:assert/strict';
import { once } from 'node:events';
import { AckStream, type Connection, connect, type Delivery, DeliveryStream } from '../lib/index.ts';
import { describeEach, uniqueQueue } from './support/brokers.ts';
import { closed, drain, nextTurn, numbers, push, until } from './support/streams.ts';

describeEach('AckStream', (broker) => {
  let connection: Connection;
  let queue: string;
  beforeEach(() => {
    connection = connect(broker().url);
    queue = uniqueQueue();
  });
  afterEach(() => connection.close({ timeout: 2000 }));

  it('acknowledges all that comes where it has no handler', async () => {
    for (const handler of [undefined, null]) {
      await push(connection, queue, numbers(300));
      const stream = new DeliveryStream(queue, { connection });
      let count = 0;
      stream.on('data', () => {
        count += 1;
      });
      const sink = stream.pipe(new AckStream(handler));
      await until(() => count === 300);
      await stream.close();
      await closed(sink);
      assert.deepEqual(await drain(connection, queue), []);
    }
  });

  it('runs as many handlers as concurrency says, and takes nothing that none is free for', async () => {
    await push(connection, queue, numbers(100));
    const stream = new DeliveryStream(queue, { connection });
    let running = 0;
    let most = 0;
    const seen: unknown[] = [];
    const sink: AckStream = stream.pipe(
      new AckStream(
        async (value) => {
          running += 1;
          most = Math.max(most, running);
          assert.equal(sink.writableLength <= 1, true);
          for (let turns = 0; turns < Number(value) % 5; turns += 1) await nextTurn();
          running -= 1;
          seen.push(value);
        },
        { concurrency: 7 },
      ),
    );
    await until(() => seen.length === 100);
    assert.equal(most, 7);
    await stream.close();
    await closed(sink);
    assert.deepEqual(await drain(connection, queue), []);
  });

  it('retries what a handler throws or rejects with, whatever that is, and goes on', async () => {
    const thrown = [new Error('an error'), 'a string', undefined, null];
    await push(connection, queue, numbers(9));
    const stream = new DeliveryStream(queue, { connection, backoff: 0 });
    const reasons: unknown[] = [];
    stream.on('retry', ({ value, reason, attempt }) => {
      assert.equal(attempt, 1);
      reasons[value] = reason;
    });
    const done: unknown[] = [];
    const sink = stream.pipe(
      new AckStream((value: number, { attempt }) => {
        if (attempt === 2 || value === 8) return done.push(value);
        if (value < 4) throw thrown[value];
        return Promise.reject(thrown[value - 4]);
      }),
    );
    await until(() => done.length === 9);
    await stream.close();
    await closed(sink);
    assert.deepEqual(reasons, [...thrown, ...thrown]);
    assert.deepEqual(await drain(connection, queue), []);
  });

  it('leaves the say to a handler that settles its delivery itself', async () => {
    await push(connection, queue, ['reject', 'release', 'throw', 'split', 'ack']);
    const stream = new DeliveryStream(queue, { connection });
    const dead = once(stream, 'dead');
    stream.on('retry', assert.fail);
    const seen: unknown[] = [];
    const sink = stream.pipe(
      new AckStream<string>(async (value, delivery) => {
        seen.push(value);
        if (value === 'reject') void delivery.reject('on purpose');
        if (value === 'release' && seen.length === 2) void delivery.release();
        if (value === 'split') for (const part of delivery.withMany([1, 2])) void part.ack();
        if (value !== 'throw') return;
        await delivery.ack();
        throw new Error('too late');
      }),
    );
    await until(() => seen.length === 6);
    assert.equal((await dead)[0].value, 'reject');
    await stream.close();
    await closed(sink);
    assert.deepEqual(seen.toSorted(), ['ack', 'reject', 'release', 'release', 'split', 'throw']);
    assert.deepEqual(await drain(connection, queue), []);
  });

  it('gives up a handler whose time is over, and goes on at once', async () => {
    await push(connection, queue, ['slow', 'next']);
    const stream = new DeliveryStream(queue, { connection, backoff: 50_000 });
    const retried = once(stream, 'retry');
    const done: unknown[] = [];
    const aborted: unknown[] = [];
    const sink = stream.pipe(
      new AckStream(
        async (value, { signal }) => {
          if (value === 'slow') {
            await once(signal, 'abort');
            aborted.push(signal.reason.code);
            throw new Error('ignored');
          }
          done.push(value);
        },
        { timeout: 30 },
      ),
    );
    const [{ reason }] = await retried;
    assert.equal(reason.code, 'ERR_MILLRACE_TIMEOUT');
    await until(() => done.length === 1);
    assert.deepEqual(aborted, ['ERR_MILLRACE_TIMEOUT']);
    await stream.close();
    await closed(sink);
  });

  it('finishes when all handlers are over and all is settled', async () => {
    await push(connection, queue, numbers(3));
    const stream = new DeliveryStream(queue, { connection });
    const release: (() => void)[] = [];
    const sink = new AckStream(() => new Promise<void>((resolve) => release.push(resolve)), { concurrency: 3 });
    let finished = false;
    sink.on('finish', () => {
      finished = true;
    });
    stream.pipe(sink);
    await until(() => release.length === 3);
    const closing = stream.close();
    await once(stream, 'end');
    release[0]?.();
    release[2]?.();
    await nextTurn();
    assert.equal(finished, false);
    release[1]?.();
    await once(sink, 'finish');
    await closing;
    assert.deepEqual(await drain(connection, queue), []);
  });

  it('aborts the handlers that run when it is destroyed, and puts back what they had', async () => {
    await push(connection, queue, numbers(2));
    const stream = new DeliveryStream(queue, { connection });
    const signals: AbortSignal[] = [];
    const sink = stream.pipe(
      new AckStream(
        async (_value, { signal }) => {
          signals.push(signal);
          await once(signal, 'abort');
          throw signal.reason;
        },
        { concurrency: 2 },
      ),
    );
    await until(() => signals.length === 2);
    sink.destroy();
    await closed(sink);
    for (const signal of signals) assert.equal(signal.reason.code, 'ERR_MILLRACE_CLOSED');
    await stream.close();
    assert.deepEqual(await drain(connection, queue), numbers(2));
  });

  it('does not hand to a handler what is not held any more', async () => {
    await push(connection, queue, numbers(2));
    const stream = new DeliveryStream(queue, { connection });
    const seen: unknown[] = [];
    const sink = new AckStream((value) => void seen.push(value));
    const deliveries: Delivery[] = [];
    stream.on('data', (delivery) => deliveries.push(delivery));
    await until(() => deliveries.length === 2);
    assert.equal(await deliveries[0]?.ack(), true);
    for (const delivery of deliveries) sink.write(delivery);
    sink.end();
    await once(sink, 'close');
    assert.deepEqual(seen, [1]);
  });

  it('ends, and is done, behind await using', async () => {
    await push(connection, queue, numbers(2));
    const stream = new DeliveryStream(queue, { connection });
    const deliveries: Delivery[] = [];
    stream.on('data', (delivery) => deliveries.push(delivery));
    await until(() => deliveries.length === 2);
    const seen: unknown[] = [];
    {
      await using sink = new AckStream(async (value) => {
        await nextTurn();
        seen.push(value);
      });
      for (const delivery of deliveries) sink.write(delivery);
    }
    assert.deepEqual(seen, numbers(2));
    for (const delivery of deliveries) assert.equal(await delivery.ack(), false);
  });
});

describe('AckStream', () => {
  it('fails when something else than a delivery is written', async () => {
    const sink = new AckStream();
    sink.write({ value: 1 });
    const [error] = await once(sink, 'error');
    assert.equal(error.code, 'ERR_INVALID_ARG_TYPE');
    await assert.rejects(sink[Symbol.asyncDispose](), error);
  });

  it('checks its arguments', () => {
    assert.throws(() => new AckStream('handler' as never), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(() => new AckStream(null, { concurrency: 0 }), { code: 'ERR_OUT_OF_RANGE' });
    assert.throws(() => new AckStream(null, { timeout: 0 }), { code: 'ERR_OUT_OF_RANGE' });
    assert.throws(() => new AckStream(null, { limit: 1 } as never), { code: 'ERR_INVALID_ARG_VALUE' });
  });
});
