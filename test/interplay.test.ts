import assert from 'node:assert/strict';
import { once } from 'node:events';
import nodeStream, { Duplex, PassThrough, Readable, Transform, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import readableStream from 'readable-stream';
import { type Connection, connect, PullStream, PushStream } from '../lib/index.ts';
import { describeEach, uniqueQueue } from './support/brokers.ts';
import { closed, drain, numbers, push } from './support/streams.ts';

/** A Transform that lets so many pass, and then ends what it is in. */
const first = (count: number) => {
  let seen = 0;
  return new Transform({
    objectMode: true,
    transform(value, _encoding, callback) {
      seen += 1;
      if (seen <= count) this.push(value);
      if (seen === count) this.push(null);
      callback();
    },
  });
};

describeEach('interplay', (broker) => {
  let connection: Connection;
  let queue: string;
  let other: string;
  beforeEach(() => {
    connection = connect(broker().url);
    queue = uniqueQueue();
    other = uniqueQueue();
  });
  afterEach(() => connection.close({ timeout: 1000 }));

  const double = () =>
    new Transform({ objectMode: true, transform: (value, _encoding, callback) => callback(null, value * 2) });

  it("with node:stream's pipeline from one queue to another", async () => {
    await push(connection, queue, numbers(500));
    await pipeline(
      new PullStream(queue, { connection, timeout: 300 }),
      double(),
      new PushStream(other, { connection }),
    );
    assert.deepEqual(
      await drain(connection, other),
      numbers(500).map((n) => n * 2),
    );
  });

  it("with readable-stream's pipeline and classes", async () => {
    await push(connection, queue, numbers(500));
    const classes = readableStream as unknown as typeof nodeStream;
    const through = new classes.PassThrough({ objectMode: true });
    await new Promise<void>((resolve, reject) => {
      classes.pipeline(
        new PullStream(queue, { connection, timeout: 300 }),
        through,
        new PushStream(other, { connection }),
        (error) => (error ? reject(error) : resolve()),
      );
    });
    assert.deepEqual(await drain(connection, other), numbers(500));
  });

  it('with a pipeline that fails: the queue has what was not read', async () => {
    await push(connection, queue, numbers(100));
    const stream = new PullStream(queue, { connection, highWaterMark: 16 });
    const taken: unknown[] = [];
    stream.on('data', (value) => taken.push(value));
    const breaks = new Writable({
      objectMode: true,
      write: (value, _encoding, callback) => callback(value === 20 ? new Error('on purpose') : null),
    });
    await assert.rejects(pipeline(stream, breaks), /on purpose/);
    await closed(stream);
    assert.deepEqual([...taken, ...(await drain(connection, queue))], numbers(100));
  });

  it('with pipeline and an async function', async () => {
    await push(connection, queue, numbers(50));
    const values: unknown[] = [];
    await pipeline(new PullStream(queue, { connection, timeout: 300 }), async (source: AsyncIterable<unknown>) => {
      for await (const value of source) values.push(value);
    });
    assert.deepEqual(values, numbers(50));
  });

  it('with compose', async () => {
    const { compose } = nodeStream as unknown as { compose(...streams: unknown[]): Duplex };
    const sink = compose(double(), new PushStream(queue, { connection }));
    for (const n of numbers(100)) sink.write(n);
    sink.end();
    await once(sink, 'finish');
    assert.deepEqual(
      await drain(connection, queue),
      numbers(100).map((n) => n * 2),
    );
  });

  it('with Readable.toWeb and Writable.toWeb', async () => {
    const writer = Writable.toWeb(new PushStream(queue, { connection })).getWriter();
    for (const n of numbers(50)) await writer.write(n);
    await writer.close();
    const stream = new PullStream(queue, { connection, highWaterMark: 8 });
    const reader = Readable.toWeb(stream).getReader();
    const values: unknown[] = [];
    for (let count = 0; count < 20; count += 1) values.push((await reader.read()).value);
    assert.deepEqual(values, numbers(20));
    await reader.cancel();
    await closed(stream);
    const rest = await drain(connection, queue);
    assert.deepEqual(rest, numbers(rest.length, 50 - rest.length));
  });

  it('with Duplex.from', async () => {
    await push(connection, queue, numbers(50));
    const duplex = Duplex.from({
      writable: new PushStream(other, { connection }),
      readable: new PullStream(queue, { connection }),
    });
    duplex.write('there');
    const values: unknown[] = [];
    for await (const value of duplex) if (values.push(value) === 50) break;
    assert.deepEqual(values, numbers(50));
    assert.deepEqual(await drain(connection, other), ['there']);
  });

  it("with the iterator helpers of Node's Readables", async () => {
    await push(connection, queue, numbers(100));
    const values = await new PullStream(queue, { connection })
      .filter((n: number) => n % 2 === 0)
      .map((n: number) => n / 2)
      .take(10)
      .toArray();
    assert.deepEqual(values, numbers(10));
  });

  it('with addAbortSignal and finished of node:stream', async () => {
    const stream = new PullStream(queue, { connection });
    const controller = new AbortController();
    nodeStream.addAbortSignal(controller.signal, stream);
    stream.resume();
    await once(stream, 'ready');
    controller.abort();
    await assert.rejects(nodeStream.promises.finished(stream), { name: 'AbortError' });
  });

  it('with a Transform that ends early: what was not read is given back', async () => {
    await push(connection, queue, numbers(100));
    const stream = new PullStream(queue, { connection, highWaterMark: 4 });
    const values: unknown[] = [];
    const taken: unknown[] = [];
    stream.on('data', (value) => taken.push(value));
    const limit = first(10);
    stream.pipe(limit);
    for await (const value of limit) values.push(value);
    stream.destroy();
    await closed(stream);
    assert.deepEqual(values, numbers(10));
    assert.deepEqual([...taken, ...(await drain(connection, queue))], numbers(100));
  });

  it('with two pipes from one stream: each gets every value', async () => {
    await push(connection, queue, numbers(100));
    const stream = new PullStream(queue, { connection, timeout: 300 });
    const both = [
      stream.pipe(new PassThrough({ objectMode: true })),
      stream.pipe(new PassThrough({ objectMode: true })),
    ];
    const values = await Promise.all(both.map((one) => one.toArray()));
    assert.deepEqual(values, [numbers(100), numbers(100)]);
  });
});
