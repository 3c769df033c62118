import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AckStream, type Connection, connect, type Delivery, DeliveryStream, WorkTransform } from '../lib/index.ts';
import { describeEach, uniqueQueue } from './support/brokers.ts';
import { closed, drain, nextTurn, numbers, push, until } from './support/streams.ts';

describeEach('WorkTransform', (broker) => {
  let connection: Connection;
  let queue: string;
  beforeEach(() => {
    connection = connect(broker().url);
    queue = uniqueQueue();
  });
  afterEach(() => connection.close({ timeout: 2000 }));

  it('passes on results under the receipts of what they were made of', async () => {
    await push(connection, queue, numbers(100));
    const stream = new DeliveryStream(queue, { connection });
    const results: unknown[] = [];
    const sink = stream
      .pipe(new WorkTransform<number, number>((n) => n * 2))
      .pipe(new WorkTransform<number, { n: number }>(async (n) => ({ n }), { concurrency: 5 }))
      .pipe(new AckStream<{ n: number }>(({ n }) => void results.push(n)));
    await until(() => results.length === 100);
    assert.deepEqual(
      results,
      numbers(100).map((n) => n * 2),
    );
    await stream.close();
    await closed(sink);
    assert.deepEqual(await drain(connection, queue), []);
  });

  it('puts back, when it is destroyed, what waits in it and what nobody has read', async () => {
    await push(connection, queue, numbers(4));
    const stream = new DeliveryStream(queue, { connection });
    const deliveries: Delivery[] = [];
    stream.on('data', (delivery: Delivery) => deliveries.push(delivery));
    await until(() => deliveries.length === 4);
    for (const sink of [
      new WorkTransform((n) => n, { concurrency: 1 }),
      new WorkTransform(() => new Promise(() => {}), { concurrency: 1 }),
      new AckStream(() => new Promise(() => {})),
    ]) {
      const [one, other] = deliveries.splice(0, 2);
      sink.write(one);
      sink.write(other);
      await nextTurn();
      sink.destroy();
      await until(() => deliveries.length === 4);
    }
    stream.destroy();
    await closed(stream);
  });

  it('gives results in the order in which handlers finish', async () => {
    await push(connection, queue, numbers(4));
    const stream = new DeliveryStream(queue, { connection });
    const resolvers: (() => void)[] = [];
    const handler = (n: number) => new Promise<number>((resolve) => resolvers.push(() => resolve(n)));
    const work = stream.pipe(new WorkTransform(handler, { concurrency: 4 }));
    await until(() => resolvers.length === 4);
    const results: unknown[] = [];
    work.on('data', (delivery: Delivery) => {
      results.push(delivery.value);
      void delivery.ack();
    });
    for (const next of [2, 0, 3, 1]) {
      resolvers[next]?.();
      await nextTurn();
    }
    assert.deepEqual(results, [2, 0, 3, 1]);
  });

  it('passes on nothing of what failed, or was settled by its handler', async () => {
    await push(connection, queue, numbers(6));
    const stream = new DeliveryStream(queue, { connection, maxAttempts: 1 });
    const dead: unknown[] = [];
    stream.on('dead', ({ value, reason }) => dead.push([value, String(reason)]));
    const results: unknown[] = [];
    stream
      .pipe(
        new WorkTransform<number>((n, delivery) => {
          if (n === 1) throw new Error('on purpose');
          if (n === 2) return Promise.reject(undefined);
          if (n === 3) void delivery.ack();
          if (n === 4) void delivery.reject('no');
          return n;
        }),
      )
      .pipe(new AckStream((n) => void results.push(n)));
    await until(() => results.length === 2 && dead.length === 3);
    assert.deepEqual(results, [0, 5]);
    assert.deepEqual(dead, [
      [1, 'Error: on purpose'],
      [2, 'attempt 1 of 1 failed: no reason given'],
      [4, 'no'],
    ]);
  });

  it('starts no handler while as many results as may run wait to be read', async () => {
    await push(connection, queue, numbers(50));
    const stream = new DeliveryStream(queue, { connection });
    let started = 0;
    const work = new WorkTransform(
      (n) => {
        started += 1;
        return n;
      },
      { concurrency: 3 },
    );
    stream.pipe(work);
    await until(() => work.readableLength === 3);
    await push(connection, queue, numbers(50));
    assert.equal(started, 3);
    const results: unknown[] = [];
    for await (const delivery of work) {
      results.push(delivery.value);
      await delivery.ack();
      assert.ok(started <= results.length + 3, `${started} started, ${results.length} read`);
      if (results.length === 100) break;
    }
    assert.deepEqual(results, [...numbers(50), ...numbers(50)]);
  });

  it('ends when the handlers that run are over', async () => {
    await push(connection, queue, numbers(10));
    const stream = new DeliveryStream(queue, { connection });
    const results: unknown[] = [];
    const started: unknown[] = [];
    const running = pipeline(
      stream,
      new WorkTransform(
        async (n) => {
          started.push(n);
          for (let turns = 0; turns < 10; turns += 1) await nextTurn();
          return n;
        },
        { concurrency: 4 },
      ),
      new AckStream(async (n) => {
        await nextTurn();
        results.push(n);
      }),
    );
    await until(() => started.length >= 4);
    await stream.close();
    await running;
    assert.deepEqual(results, started);
    assert.deepEqual([...results, ...(await drain(connection, queue))], numbers(10));
  });

  it('aborts the handlers that run when what comes behind it fails, and everything is put back', async () => {
    await push(connection, queue, numbers(20));
    const stream = new DeliveryStream(queue, { connection });
    const reasons: unknown[] = [];
    const breaks = new Writable({
      objectMode: true,
      write: (_delivery, _encoding, callback) => callback(new Error('on purpose')),
    });
    let started = 0;
    const handler = async (n: number, { signal }: Delivery) => {
      started += 1;
      if (n === 2) {
        await until(() => started === 5);
        return n;
      }
      await once(signal, 'abort');
      reasons.push(signal.reason.code);
      throw signal.reason;
    };
    await assert.rejects(pipeline(stream, new WorkTransform(handler, { concurrency: 5 }), breaks), /on purpose/);
    await closed(stream);
    await until(() => reasons.length >= 4);
    for (const reason of reasons) assert.equal(reason, 'ERR_MILLRACE_CLOSED');
    assert.deepEqual(await drain(connection, queue), numbers(20));
  });
});

describe('WorkTransform', () => {
  it('fails when something else than a delivery is written', async () => {
    const work = new WorkTransform((n) => n);
    work.write(1);
    const [error] = await once(work, 'error');
    assert.equal(error.code, 'ERR_INVALID_ARG_TYPE');
  });

  it('checks its arguments', () => {
    assert.throws(() => new WorkTransform(undefined as never), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(() => new WorkTransform((n) => n, { concurrency: 1.5 }), { code: 'ERR_OUT_OF_RANGE' });
  });
});
