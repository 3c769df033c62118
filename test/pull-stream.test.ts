import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Writable } from 'node:stream';
import { type Connection, connect, PullStream, PushStream } from '../lib/index.ts';
import { describeEach, uniqueQueue } from './support/brokers.ts';
import { random, seed } from './support/random.ts';
import { closed, drain, nextTurn, numbers, push, readAhead, take, until } from './support/streams.ts';

describeEach('PullStream', (broker) => {
  let connection: Connection;
  let queue: string;
  beforeEach(() => {
    connection = connect(broker().url);
    queue = uniqueQueue();
  });
  afterEach(() => connection.close());

  it('gives values in the order in which they were pushed', async () => {
    await push(connection, queue, numbers(1000));
    assert.deepEqual(await take(connection, queue, 1000), numbers(1000));
  });

  it("is a stack with side: 'left'", async () => {
    await push(connection, queue, numbers(5));
    const values: unknown[] = [];
    for await (const value of new PullStream(queue, { connection, side: 'left' })) {
      if (values.push(value) === 5) break;
    }
    assert.deepEqual(values, [4, 3, 2, 1, 0]);
  });

  it('waits for what comes later', async () => {
    const stream = new PullStream(queue, { connection });
    const data = once(stream, 'data');
    await once(stream, 'ready');
    await push(connection, queue, ['late']);
    assert.deepEqual(await data, ['late']);
    stream.destroy();
  });

  it('ends when nothing has come for as long as timeout says', async () => {
    await push(connection, queue, numbers(10));
    const values: unknown[] = [];
    for await (const value of new PullStream(queue, { connection, timeout: 50 })) values.push(value);
    assert.deepEqual(values, numbers(10));
  });

  for (const highWaterMark of [1, 4, 16]) {
    it(`holds no more than ${highWaterMark} items when nobody reads any more`, async () => {
      await push(connection, queue, numbers(500));
      const stream = new PullStream(queue, { connection, highWaterMark });
      const taken = await readAhead(stream, Math.ceil(highWaterMark / 2));
      for (let i = 0; i < 10; i += 1) await push(connection, queue, [500 + i]);
      const rest = await drain(connection, queue);
      const held = 510 - taken.length - rest.length;
      assert.ok(held <= highWaterMark, `${held} were held`);
      assert.deepEqual(rest, numbers(rest.length, 510 - rest.length));
      stream.destroy();
      await closed(stream);
      assert.deepEqual([...taken, ...(await drain(connection, queue))], numbers(510 - rest.length));
    });
  }

  it('holds nothing with highWaterMark 0 when nobody reads, and gives all when somebody does', async () => {
    await push(connection, queue, numbers(100));
    const stream = new PullStream(queue, { connection, highWaterMark: 0 });
    await once(stream, 'ready');
    for (let i = 0; i < 10; i += 1) await push(connection, queue, [100 + i]);
    assert.equal(stream.readableLength, 0);
    // Who listens to 'readable' wants to know of one.
    await once(stream, 'readable');
    for (let i = 0; i < 10; i += 1) await push(connection, queue, [110 + i]);
    assert.equal(stream.readableLength, 1);
    stream.destroy();
    await closed(stream);
    for (const read of [byData, byForAwait]) {
      const values = await read(new PullStream(queue, { connection, highWaterMark: 0 }), 50);
      assert.equal(values.length, 50);
    }
    assert.deepEqual(await drain(connection, queue), numbers(20, 100));
  });

  for (const highWaterMark of [0, 1, 4]) {
    it(`gives all to who listens to 'readable', after a pause too, with highWaterMark ${highWaterMark}`, async () => {
      await push(connection, queue, numbers(20));
      const stream = new PullStream(queue, { connection, highWaterMark });
      stream.pause();
      const values: unknown[] = [];
      stream.on('readable', () => {
        for (let value = stream.read(); value !== null; value = stream.read()) values.push(value);
      });
      await until(() => values.length === 20);
      assert.deepEqual(values, numbers(20));
      stream.destroy();
    });
  }

  it('gives back what it held although something was put before it', async () => {
    await push(connection, queue, numbers(200));
    const stream = new PullStream(queue, { connection, highWaterMark: 8 });
    const taken = await readAhead(stream, 3);
    stream.unshift('foreign');
    stream.destroy();
    await closed(stream);
    assert.deepEqual([...taken, ...(await drain(connection, queue))], numbers(200));
  });

  it('does not wait for a reader when it is closed behind an unpipe()', async () => {
    await push(connection, queue, numbers(50));
    const stream = new PullStream(queue, { connection, highWaterMark: 8 });
    const taken: unknown[] = [];
    const sink = new Writable({
      objectMode: true,
      write: (value, _encoding, callback) => callback(void taken.push(value) as never),
    });
    stream.pipe(sink);
    await until(() => taken.length > 0);
    stream.unpipe(sink);
    await stream.close({ timeout: 50_000 });
    assert.deepEqual([...taken, ...(await drain(connection, queue))], numbers(50));
  });

  it('never holds more than highWaterMark, however it is read', async () => {
    const highWaterMark = 8;
    await push(connection, queue, numbers(500));
    const stream = new PullStream(queue, { connection, highWaterMark });
    for (let count = 0; count < 500; count += 1) {
      while (stream.read() === null) await once(stream, 'readable');
      assert.ok(stream.readableLength <= highWaterMark, `held ${stream.readableLength}`);
      if (count % 7 === 0) await nextTurn();
    }
    stream.destroy();
  });

  it('pops nothing while it is paused, and goes on when it is resumed', async () => {
    const stream = new PullStream(queue, { connection });
    const values: unknown[] = [];
    stream.on('data', (value) => values.push(value));
    await push(connection, queue, [0]);
    await until(() => values.length === 1);
    stream.pause();
    const before = stream.readableLength;
    await until(() => stream.readableLength >= before);
    await push(connection, queue, [1, 2, 3]);
    const held = stream.readableLength;
    assert.deepEqual(values, [0]);
    const others = await drain(connection, queue);
    assert.equal(others.length + held, 3);
    await push(connection, queue, others);
    stream.resume();
    await until(() => values.length === 4);
    assert.deepEqual(values, [0, 1, 2, 3]);
    stream.destroy();
  });

  it('goes on when it is resumed before the pop that waits has stopped', async () => {
    const stream = new PullStream(queue, { connection });
    const values: unknown[] = [];
    stream.on('data', (value) => values.push(value));
    await once(stream, 'ready');
    for (let n = 0; n < 20; n += 1) {
      stream.pause();
      if (n % 2) await nextTurn();
      stream.resume();
      if (n % 3) await nextTurn();
    }
    await push(connection, queue, numbers(3));
    await until(() => values.length === 3);
    assert.deepEqual(values, numbers(3));
    stream.destroy();
  });

  it("takes no notice of pause() where somebody listens to 'readable', as Node has it", async () => {
    const stream = new PullStream(queue, { connection });
    const reading = byForAwait(stream, 3);
    await once(stream, 'ready');
    stream.pause();
    await push(connection, queue, numbers(3));
    assert.deepEqual(await reading, numbers(3));
  });

  it('reads on after a pause when somebody reads', async () => {
    await push(connection, queue, numbers(50));
    const stream = new PullStream(queue, { connection });
    stream.pause();
    assert.deepEqual(await byForAwait(stream, 50), numbers(50));
  });

  it('gives back what a destroyed stream has in its buffer, and gives it to nobody else', async () => {
    await push(connection, queue, numbers(200));
    const stream = new PullStream(queue, { connection, highWaterMark: 10 });
    const taken = await readAhead(stream, 5);
    taken.push(stream.read());
    stream.destroy();
    assert.equal(stream.read(), null);
    await closed(stream);
    assert.deepEqual([...taken, ...(await drain(connection, queue))], numbers(200));
  });

  it('gives back at the left what came from the left', async () => {
    await push(connection, queue, numbers(200));
    const stream = new PullStream(queue, { connection, side: 'left', highWaterMark: 4 });
    const taken = await readAhead(stream, 2);
    stream.destroy();
    await closed(stream);
    assert.deepEqual([...(await drain(connection, queue)), ...taken.reverse()], numbers(200));
  });

  it('ends in order when it is closed, and what it held has flowed on', async () => {
    await push(connection, queue, numbers(100));
    const stream = new PullStream(queue, { connection, highWaterMark: 16 });
    const values: unknown[] = [];
    const ended = once(stream, 'end');
    stream.on('data', (value) => {
      values.push(value);
      if (values.length === 10) stream.close();
    });
    await ended;
    await stream.close();
    assert.deepEqual([...values, ...(await drain(connection, queue))], numbers(100));
  });

  it('ends in order when it is closed before it has opened', async () => {
    await push(connection, queue, numbers(10));
    const stream = new PullStream(queue, { connection });
    const values: unknown[] = [];
    const reading = (async () => {
      for await (const value of stream) values.push(value);
    })();
    await stream.close();
    await reading;
    assert.deepEqual([...values, ...(await drain(connection, queue))], numbers(10));
  });

  it('gives back at once when it is closed and nobody reads', async () => {
    await push(connection, queue, numbers(10));
    const stream = new PullStream(queue, { connection });
    await stream.close();
    assert.deepEqual(await drain(connection, queue), numbers(10));
  });

  it('gives back what is left when the time of a close is over', async () => {
    await push(connection, queue, numbers(100));
    const stream = new PullStream(queue, { connection, highWaterMark: 16 });
    const values: unknown[] = [];
    stream.on('data', (value) => {
      values.push(value);
      stream.pause();
    });
    stream.on('error', assert.fail);
    await until(() => values.length === 1);
    await stream.close({ timeout: 100 });
    assert.deepEqual([...values, ...(await drain(connection, queue))], numbers(100));
  });

  it('gives back behind await using', async () => {
    await push(connection, queue, numbers(100));
    {
      await using stream = new PullStream(queue, { connection });
      assert.deepEqual(await once(stream, 'data'), [0]);
      stream.pause();
    }
    const rest = await drain(connection, queue);
    assert.ok(rest.length > 0);
    assert.deepEqual(rest, numbers(rest.length, 100 - rest.length));
  });

  describe('stops without losing an item', () => {
    type Stop = (stream: PullStream, taken: unknown[], count: number, controller: AbortController) => Promise<void>;

    /** Each reads `count` items while a producer races with it, and stops. What is handed out goes to `taken`. */
    const ways: Record<string, Stop> = {
      async 'pause()'(stream, taken, count) {
        await record(stream, taken, count);
        stream.pause();
        await nextTurn();
        stream.destroy();
      },
      async 'a slow pipe'(stream, taken, count) {
        let written = 0;
        const slow = new Writable({
          objectMode: true,
          highWaterMark: 1,
          write: (_value, _encoding, callback) => {
            written += 1;
            if (written < count) callback();
          },
        });
        stream.pipe(slow);
        await record(stream, taken, count);
        await nextTurn();
        stream.destroy();
      },
      async 'unpipe()'(stream, taken, count) {
        const sink = new Writable({ objectMode: true, write: (_value, _encoding, callback) => callback() });
        stream.pipe(sink);
        await record(stream, taken, count);
        stream.unpipe(sink);
        await nextTurn();
        stream.destroy();
      },
      async break(stream, taken, count) {
        for await (const value of stream) {
          taken.push(value);
          if (taken.length >= count) break;
        }
      },
      async 'destroy()'(stream, taken, count) {
        await record(stream, taken, count);
        stream.destroy();
      },
      async 'an abort'(stream, taken, count, controller) {
        stream.on('error', (error) => assert.equal(error.name, 'AbortError'));
        await record(stream, taken, count);
        controller.abort();
      },
      async 'close()'(stream, taken, count) {
        await record(stream, taken, count);
        await stream.close();
      },
    };

    for (const [name, stop] of Object.entries(ways)) {
      it(`by ${name}, 200 times against a producer (seed ${seed})`, async () => {
        const dice = random();
        const source = new PushStream(queue, { connection });
        let pushed = 0;
        for (let round = 0; round < 200; round += 1) {
          const controller = new AbortController();
          const highWaterMark = 1 + Math.floor(dice() * 12);
          const stream = new PullStream(queue, { connection, highWaterMark, signal: controller.signal });
          const taken: unknown[] = [];
          const count = Math.floor(dice() * 6);
          const producing = (async () => {
            const first = pushed;
            pushed += 10;
            for (let n = first; n < first + 10; n += 1) {
              if (dice() < 0.3) await nextTurn();
              await source.send(n);
            }
          })();
          await stop(stream, taken, Math.max(1, count), controller);
          await closed(stream);
          await producing;
          const rest = await drain(connection, queue);
          assert.deepEqual([...taken, ...rest], numbers(10, pushed - 10), `round ${round}`);
        }
        source.end();
      });
    }

    /** Records what is handed out; resolves at the `count`th item, in the middle of its event. */
    function record(stream: PullStream, taken: unknown[], count: number): Promise<void> {
      return new Promise((resolve) => {
        stream.on('data', (value) => {
          if (taken.push(value) === count) resolve();
        });
      });
    }
  });
});

async function byData(stream: PullStream, count: number): Promise<unknown[]> {
  const values: unknown[] = [];
  await new Promise<void>((resolve) => {
    stream.on('data', (value) => {
      if (values.push(value) === count) resolve(void stream.destroy());
    });
  });
  await closed(stream);
  return values;
}

async function byForAwait(stream: PullStream, count: number): Promise<unknown[]> {
  const values: unknown[] = [];
  for await (const value of stream) if (values.push(value) === count) break;
  await closed(stream);
  return values;
}
