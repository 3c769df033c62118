import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Connection, connect, PullStream, PushStream } from '../lib/index.ts';
import { describeEach, uniqueQueue } from './support/brokers.ts';
import { closed, drain, nextTurn, numbers, take, until } from './support/streams.ts';

describeEach('PushStream', (broker) => {
  let connection: Connection;
  let queue: string;
  beforeEach(() => {
    connection = connect(broker().url);
    queue = uniqueQueue();
  });
  afterEach(() => connection.close());

  it('is the end of a pipeline, which resolves when all is stored', async () => {
    await pipeline(numbers(1000), new PushStream(queue, { connection }));
    assert.deepEqual(await drain(connection, queue), numbers(1000));
  });

  it('is what a stream pipes to', async () => {
    const stream = Readable.from(numbers(1000)).pipe(new PushStream(queue, { connection }));
    await once(stream, 'finish');
    assert.deepEqual(await drain(connection, queue), numbers(1000));
  });

  it('calls back, and resolves send(), for each item in order', async () => {
    const stream = new PushStream(queue, { connection });
    const told: number[] = [];
    const all = numbers(300).map((n) => {
      if (n % 3 === 0) return stream.send(n).then(() => told.push(n));
      return new Promise<void>((resolve) => {
        stream.write(n, (error) => {
          assert.ifError(error);
          told.push(n);
          resolve();
        });
      });
    });
    await Promise.all(all);
    assert.deepEqual(
      told.toSorted((a, b) => a - b),
      numbers(300),
    );
    assert.deepEqual(await drain(connection, queue), numbers(300));
    stream.end();
  });

  it("tells 'pushed' with each value that is stored", async () => {
    const stream = new PushStream(queue, { connection });
    const pushed: unknown[] = [];
    stream.on('pushed', (value) => pushed.push(value));
    stream.write({ a: 1 });
    stream.write('b', () => {});
    await stream.send(3);
    stream.end();
    await once(stream, 'finish');
    assert.deepEqual(pushed, [{ a: 1 }, 'b', 3]);
  });

  it("tells 'ready' when the broker answers", async () => {
    const stream = new PushStream(queue, { connection });
    await once(stream, 'ready');
    stream.end();
  });

  it('has backpressure: write() answers false at highWaterMark, and drain follows', async () => {
    const stream = new PushStream(queue, { connection, highWaterMark: 16 });
    let accepted = 1;
    while (stream.write(accepted)) accepted += 1;
    assert.equal(accepted, 16);
    await once(stream, 'drain');
    stream.end();
    await once(stream, 'finish');
    assert.deepEqual(await drain(connection, queue), numbers(16, 1));
  });

  for (const highWaterMark of [0, 1, 2, 3]) {
    it(`stores all with highWaterMark ${highWaterMark}`, async () => {
      await pipeline(numbers(50), new PushStream(queue, { connection, highWaterMark }));
      assert.deepEqual(await drain(connection, queue), numbers(50));
    });
  }

  it("puts items before all others with side: 'right'", async () => {
    await pipeline([1, 2], new PushStream(queue, { connection }));
    await pipeline(['urgent'], new PushStream(queue, { connection, side: 'right' }));
    assert.deepEqual(await drain(connection, queue), ['urgent', 1, 2]);
  });

  it('stores what was written when it is closed, twice too', async () => {
    const stream = new PushStream(queue, { connection });
    for (const n of numbers(100)) stream.write(n);
    await Promise.all([stream.close(), stream.close()]);
    await stream.close();
    assert.deepEqual(await drain(connection, queue), numbers(100));
  });

  it('stores what was written behind await using', async () => {
    {
      await using stream = new PushStream(queue, { connection });
      for (const n of numbers(100)) stream.write(n);
    }
    assert.deepEqual(await drain(connection, queue), numbers(100));
  });

  it('stores the last item, given to end()', async () => {
    const stream = new PushStream(queue, { connection });
    stream.end('last');
    await once(stream, 'finish');
    assert.deepEqual(await drain(connection, queue), ['last']);
  });

  it('refuses send() and write() when it has ended', async () => {
    const stream = new PushStream(queue, { connection });
    stream.end();
    await assert.rejects(stream.send(1), { code: 'ERR_MILLRACE_CLOSED' });
    stream.on('error', () => {});
    const error = await new Promise((resolve) => stream.write(1, resolve));
    assert.equal((error as { code?: string }).code, 'ERR_STREAM_WRITE_AFTER_END');
    await closed(stream);
  });

  it('tells every writer when it is destroyed, each with an error or not according to what is stored', async () => {
    const stream = new PushStream(queue, { connection, highWaterMark: 8 });
    const results: (Error | null | undefined)[] = [];
    const sent: PromiseSettledResult<void>[] = [];
    const sending: Promise<unknown>[] = [];
    for (const n of numbers(40)) {
      if (n % 2) stream.write(n, (error) => (results[n] = error));
      else sending.push(Promise.allSettled([stream.send(n)]).then(([result]) => (sent[n] = result)));
      if (n === 20) await nextTurn();
    }
    stream.destroy();
    await closed(stream);
    await Promise.all(sending);
    await nextTurn();
    const stored = new Set(await drain(connection, queue));
    for (const n of numbers(40)) {
      const failed = n % 2 ? results[n] instanceof Error : sent[n]?.status === 'rejected';
      assert.equal(failed, !stored.has(n), `item ${n}`);
    }
  });

  it('is destroyed by its signal', async () => {
    const controller = new AbortController();
    const stream = new PushStream(queue, { connection, signal: controller.signal });
    const failed = once(stream, 'close').catch((error) => error);
    stream.on('error', (error) => assert.equal(error.name, 'AbortError'));
    controller.abort();
    await failed;
    const late = new PushStream(queue, { connection, signal: controller.signal });
    await closed(late);
    assert.equal(late.errored?.name, 'AbortError');
  });

  it('gives a send() up when its signal is aborted, and that one alone', async () => {
    const stream = new PushStream(queue, { connection });
    const controller = new AbortController();
    const given = assert.rejects(stream.send('given up', { signal: controller.signal }), { name: 'AbortError' });
    const other = stream.send('other');
    controller.abort();
    await Promise.all([given, other]);
    await assert.rejects(stream.send('late', { signal: controller.signal }), { name: 'AbortError' });
    assert.deepEqual(await drain(connection, queue), ['other']);
    stream.end();
  });

  it('tells writers whose items a schema still looks at when it is destroyed', async () => {
    const never = {
      '~standard': { version: 1, vendor: 'test', validate: () => new Promise<never>(() => {}) },
    } as const;
    const stream = new PushStream<unknown>(queue, { connection, schema: never });
    const sent = assert.rejects(stream.send(1), { code: 'ERR_MILLRACE_CLOSED' });
    const written = new Promise<unknown>((resolve) => stream.write(2, resolve));
    await once(stream, 'ready');
    stream.destroy();
    await sent;
    assert.ok((await written) instanceof Error);
  });

  it('rejects with whatever a signal is aborted with', async () => {
    const stream = new PushStream(queue, { connection });
    const controller = new AbortController();
    const sent = assert.rejects(stream.send(1, { signal: controller.signal }), (reason) => reason === '');
    controller.abort('');
    await sent;
    await stream.close();
  });

  describe('maxLength', () => {
    it('slows a fast source to the pace of what is pulled', async () => {
      const stream = new PushStream(queue, { connection, maxLength: 10, highWaterMark: 4 });
      const done = pipeline(numbers(200), stream);
      const values: unknown[] = [];
      for await (const value of new PullStream(queue, { connection, highWaterMark: 1 })) {
        values.push(value);
        if (values.length === 200) break;
      }
      await done;
      assert.deepEqual(values, numbers(200));
    });

    it('lets a stream be closed that waits for room, and says how many items it holds', async () => {
      const stream = new PushStream(queue, { connection, maxLength: 5 });
      for (const n of numbers(12)) stream.write(n);
      await assert.rejects(stream.close({ timeout: 200 }), {
        code: 'ERR_MILLRACE_TIMEOUT',
        message: /^\d+ items for queue/,
      });
      assert.deepEqual(await drain(connection, queue), numbers(5));
    });
  });

  describe('an item that is refused', () => {
    const circular: Record<string, unknown> = {};
    circular['self'] = circular;
    let deep: unknown = 0;
    for (let depth = 0; depth < 100_000; depth += 1) deep = [deep];

    const refused: Record<string, unknown> = {
      undefined,
      'a function': () => {},
      'a symbol': Symbol('no'),
      'a BigInt': 1n,
      'NaN, which is null in JSON': Number.NaN,
      'what refers to itself': circular,
      'what toJSON makes undefined': { toJSON: () => undefined },
      'what throws': { toJSON: () => assert.fail('on purpose') },
      'a depth of 100,000': deep,
    };

    for (const [name, value] of Object.entries(refused)) {
      it(`fails the stream behind what was stored before: ${name}`, async () => {
        const stream = new PushStream(queue, { connection });
        const told: Record<string, unknown> = {};
        const failed = new Promise<Error & { item?: unknown }>((resolve) => stream.on('error', resolve));
        stream.write('before', (error) => (told['before'] = error ?? 'stored'));
        stream.write(value, (error) => (told['refused'] = error));
        stream.write('behind', (error) => (told['behind'] = error));
        const error = await failed;
        await closed(stream);
        await nextTurn();
        assert.equal((error as { code?: string }).code, 'ERR_MILLRACE_INVALID_ITEM');
        assert.equal(error.item, value);
        assert.equal(told['before'], 'stored');
        assert.equal(told['refused'], error);
        assert.ok(told['behind'] instanceof Error);
        assert.deepEqual(await drain(connection, queue), ['before']);
      });
    }

    it("is left out with invalid: 'skip', and told", async () => {
      const stream = new PushStream(queue, { connection, invalid: 'skip' });
      const errors: { item?: unknown }[] = [];
      stream.on('invalid', (error) => errors.push(error));
      const pushed: unknown[] = [];
      stream.on('pushed', (value) => pushed.push(value));
      for (const value of [1, 2n, 3, () => {}, 5]) stream.write(value);
      await stream.close();
      assert.deepEqual(
        errors.map(({ item }) => typeof item),
        ['bigint', 'function'],
      );
      assert.deepEqual(pushed, [1, 3, 5]);
      assert.deepEqual(await drain(connection, queue), [1, 3, 5]);
    });

    it('rejects its send() alone', async () => {
      const stream = new PushStream(queue, { connection });
      const results = await Promise.allSettled([stream.send(1), stream.send(2n), stream.send(null), stream.send(4)]);
      assert.deepEqual(
        results.map(({ status }) => status),
        ['fulfilled', 'rejected', 'rejected', 'fulfilled'],
      );
      await stream.close();
      assert.deepEqual(await drain(connection, queue), [1, 4]);
    });

    it('is null: write() throws as any Writable does', () => {
      const stream = new PushStream(queue, { connection });
      assert.throws(() => stream.write(null), { code: 'ERR_STREAM_NULL_VALUES' });
      stream.destroy();
    });

    it('has more than maxBytes bytes, counted as UTF-8', async () => {
      const stream = new PushStream(queue, { connection, maxBytes: 12 });
      await stream.send('0123456789');
      await assert.rejects(stream.send('01234567890'), { code: 'ERR_MILLRACE_TOO_LARGE', item: '01234567890' });
      await assert.rejects(stream.send('żółwżół'), { code: 'ERR_MILLRACE_TOO_LARGE' });
      await stream.close();
      assert.deepEqual(await drain(connection, queue), ['0123456789']);
    });

    it('is of 10 MB, and passes when maxBytes allows it', async () => {
      const large = 'x'.repeat(10_000_000);
      const stream = new PushStream(queue, { connection });
      await stream.send(large);
      await stream.close();
      assert.deepEqual(await take(connection, queue, 1), [large]);
    });
  });

  it('stores __proto__ as any other key', async () => {
    const value = JSON.parse('{"__proto__": {"polluted": true}, "a": 1}');
    const stream = new PushStream(queue, { connection });
    await stream.send(value);
    await stream.close();
    const [pulled] = (await take(connection, queue, 1)) as [Record<string, unknown>];
    assert.equal(JSON.stringify(pulled), JSON.stringify(value));
    assert.equal(({} as { polluted?: boolean }).polluted, undefined);
  });

  it('leaves nothing to wait for when it is destroyed while it opens', async () => {
    const stream = new PushStream(queue, { connection });
    stream.destroy();
    await closed(stream);
    await until(() => connection.stats().waiting === 0);
  });

  describe('with a delay', () => {
    it('has items delivered when they are due, in order of time', async () => {
      const stream = new PushStream(queue, { connection, delay: 150 });
      const start = Date.now();
      stream.write('later');
      await stream.send('sooner', { delay: 50 });
      await stream.send('now', { delay: 0 });
      assert.equal((await connection.inspect(queue)).delayed, 2);
      const pull = new PullStream(queue, { connection });
      const got: unknown[] = [];
      for await (const value of pull) {
        got.push(value);
        if (value === 'later') break;
      }
      assert.ok(got.includes('now'));
      assert.deepEqual(
        got.filter((value) => value !== 'now'),
        ['sooner', 'later'],
      );
      assert.ok(Date.now() - start >= 149);
    });

    it('keeps a thousand equal items that are due at once', async () => {
      const stream = new PushStream(queue, { connection, delay: 30 });
      for (let i = 0; i < 1000; i += 1) stream.write('same');
      await stream.close();
      assert.equal((await take(connection, queue, 1000)).length, 1000);
    });
  });

  describe('with a producer name', () => {
    it('goes on where the last one of that name stopped', async () => {
      const run = async (until: number): Promise<void> => {
        const stream = new PushStream(queue, { connection, producer: 'import' });
        for (const n of numbers(until)) stream.write(n);
        await stream.close();
      };
      await run(300);
      await run(300);
      await run(1000);
      assert.deepEqual(await drain(connection, queue), numbers(1000));
    });

    it('numbers each name, and each queue, by itself', async () => {
      const run = async (producer: string, to: string): Promise<void> => {
        const stream = new PushStream(to, { connection, producer });
        stream.write(producer);
        await stream.close();
      };
      const other = uniqueQueue();
      for (const [producer, to] of [
        ['a', queue],
        ['b', queue],
        ['a', other],
        ['a', queue],
      ] as const)
        await run(producer, to);
      assert.deepEqual(await drain(connection, queue), ['a', 'b']);
      assert.deepEqual(await drain(connection, other), ['a']);
    });
  });
});
