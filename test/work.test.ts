import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type Connection, connect, DeliveryStream, registerDriver, work } from '../lib/index.ts';
import { describeEach, uniqueQueue } from './support/brokers.ts';
import { closed, drain, nextTurn, numbers, push, take, until } from './support/streams.ts';

describeEach('work', (broker) => {
  let connection: Connection;
  let queue: string;
  beforeEach(() => {
    connection = connect(broker().url);
    queue = uniqueQueue();
  });
  afterEach(() => connection.close({ timeout: 2000 }));

  it('runs a handler on all that comes', async () => {
    const seen: unknown[] = [];
    const service = work(queue, (value) => void seen.push(value), { connection });
    await service.ready;
    await push(connection, queue, numbers(100));
    await until(() => seen.length === 100);
    await service.close();
    await service.closed;
    assert.deepEqual(seen, numbers(100));
    assert.deepEqual(await drain(connection, queue), []);
  });

  it('tells of retries and dead letters by its stream', async () => {
    await push(connection, queue, ['a', 'b']);
    const reasons: string[] = [];
    const handler = (value: unknown): void => {
      if (value === 'a') throw new Error('on purpose');
    };
    await using service = work(queue, handler, { connection, backoff: 0, maxAttempts: 2, concurrency: 3 });
    service.stream.on('retry', ({ value, attempt }) => reasons.push(`${value} ${attempt}`));
    const [{ value, attempt, reason }] = await once(service.stream, 'dead');
    assert.deepEqual([...reasons, value, attempt, reason.message], ['a 1', 'a', 2, 'on purpose']);
  });

  it('finishes, when it is closed, what its handlers have, and puts back the rest', async () => {
    await push(connection, queue, numbers(50));
    const started: unknown[] = [];
    const go: (() => void)[] = [];
    const handler = async (value: unknown): Promise<void> => {
      started.push(value);
      await new Promise<void>((resolve) => go.push(resolve));
    };
    const service = work(queue, handler, { connection, concurrency: 5 });
    await until(() => started.length === 5);
    const closing = service.close();
    await once(service.stream, 'end');
    for (const resolve of go) resolve();
    await closing;
    assert.deepEqual(started, numbers(5));
    assert.deepEqual(await drain(connection, queue), numbers(45, 5));
  });

  it('aborts, when the time of a close is over, handlers and puts back what they have', async () => {
    await push(connection, queue, numbers(3));
    const signals: AbortSignal[] = [];
    const handler = async (value: number, { signal }: { signal: AbortSignal }): Promise<void> => {
      signals.push(signal);
      // One heeds its signal, one does not.
      if (value === 1) await new Promise(() => {});
      await once(signal, 'abort');
      throw signal.reason;
    };
    const service = work(queue, handler, { connection, concurrency: 2 });
    await until(() => signals.length === 2);
    await service.close({ timeout: 60 });
    await service.closed;
    for (const signal of signals) assert.equal(signal.reason.code, 'ERR_MILLRACE_CLOSED');
    assert.deepEqual(await drain(connection, queue), numbers(3));
  });

  it('closes behind await using, with what its handlers have', async () => {
    await push(connection, queue, ['a']);
    let started = false;
    let done = false;
    const handler = async (): Promise<void> => {
      started = true;
      for (let turns = 0; turns < 10; turns += 1) await nextTurn();
      done = true;
    };
    {
      await using service = work(queue, handler, { connection });
      await service.ready;
      await until(() => started);
    }
    assert.equal(done, true);
    assert.deepEqual(await drain(connection, queue), []);
  });

  it('is closed when its signal is aborted', async () => {
    await push(connection, queue, ['a']);
    const controller = new AbortController();
    const reasons: unknown[] = [];
    let started = false;
    const handler = async (_value: unknown, { signal }: { signal: AbortSignal }): Promise<void> => {
      started = true;
      await once(signal, 'abort');
      reasons.push(signal.reason.code);
    };
    const service = work(queue, handler, { connection, signal: controller.signal });
    await until(() => started);
    controller.abort();
    await service.closed;
    await until(() => reasons.length === 1);
    assert.deepEqual(reasons, ['ERR_MILLRACE_CLOSED']);
    assert.deepEqual(await drain(connection, queue), ['a']);
  });

  it('fails when another process starts under its name', async () => {
    const options = { connection, consumer: 'the-one', leaseTimeout: 1000 };
    const service = work(queue, () => {}, options);
    await service.ready;
    const other = new DeliveryStream(queue, options);
    other.resume();
    await assert.rejects(service.closed, { code: 'ERR_MILLRACE_FENCED' });
    await assert.rejects(service.close(), { code: 'ERR_MILLRACE_FENCED' });
    other.destroy();
    await closed(other);
  });

  describe('with another queue', () => {
    let other: string;
    beforeEach(() => {
      other = uniqueQueue();
    });

    it('stores results there, and what fails comes again', async () => {
      await push(connection, queue, numbers(200));
      const handler = async (n: number, { attempt }: { attempt: number }): Promise<number> => {
        if (n % 10 === 0 && attempt === 1) throw new Error('on purpose');
        return n * 2;
      };
      const service = work<number>(queue, handler, { connection, to: other, concurrency: 10, backoff: 0 });
      const results = (await take(connection, other, 200)) as number[];
      await service.close();
      assert.deepEqual(
        results.sort((a, b) => a - b),
        numbers(200).map((n) => n * 2),
      );
      assert.deepEqual(await drain(connection, queue), []);
      assert.deepEqual(await drain(connection, other), []);
    });

    it('sends to the dead letters what has a result that cannot be stored, and goes on', async () => {
      await push(connection, queue, numbers(3));
      const service = work(queue, (n) => (n === 1 ? undefined : n), { connection, to: other });
      const dead = once(service.stream, 'dead');
      assert.deepEqual(await take(connection, other, 2), [0, 2]);
      const [{ value, reason }] = await dead;
      assert.equal(value, 1);
      assert.equal(reason.code, 'ERR_MILLRACE_INVALID_ITEM');
      await service.close();
      assert.deepEqual(await drain(connection, queue), []);
    });

    it('has each item in one queue or the other when it is closed', async () => {
      await push(connection, queue, numbers(500));
      let started = 0;
      const handler = async (n: number): Promise<number> => {
        started += 1;
        for (let turns = 0; turns < n % 4; turns += 1) await nextTurn();
        return n;
      };
      const service = work(queue, handler, { connection, to: other, concurrency: 8 });
      await until(() => started >= 50);
      await service.close();
      const results = await drain(connection, other);
      assert.equal(results.length, started);
      const all = [...results, ...(await drain(connection, queue))] as number[];
      assert.deepEqual(
        all.sort((a, b) => a - b),
        numbers(500),
      );
    });
  });

  it('closes before it has opened: ready rejects, and need not be looked at', async () => {
    const service = work(queue, () => {}, { connection });
    await service.close();
    await service.closed;
    await service.ready.catch((error) => assert.equal(error.code, 'ERR_MILLRACE_CLOSED'));
    await service.close();
  });
});

describe('work', () => {
  it('checks its arguments', () => {
    const connection = 'memory:';
    const make = (options: object) => () => work('q', () => {}, { connection, ...options });
    assert.throws(() => work('a queue', () => {}, { connection }), { code: 'ERR_INVALID_ARG_VALUE' });
    assert.throws(() => work('q', undefined as never), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(() => work('q', () => {}, null as never), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(make({ concurrency: 0 }), { code: 'ERR_OUT_OF_RANGE' });
    assert.throws(make({ timeout: -1 }), { code: 'ERR_OUT_OF_RANGE' });
    assert.throws(make({ to: 'a queue' }), { code: 'ERR_INVALID_ARG_VALUE' });
    assert.throws(make({ unknown: 1 }), { code: 'ERR_INVALID_ARG_VALUE' });
  });

  it('is refused a hop where the broker knows none', () => {
    const connecting = (): never => assert.fail('it was asked to connect');
    registerDriver('test-no-hops', { supports: { deliveries: true, hops: false } as never, connect: connecting });
    assert.throws(() => work('q', () => {}, { connection: 'test-no-hops:', to: 'r' }), {
      code: 'ERR_MILLRACE_NOT_SUPPORTED',
    });
  });

  it('fails with what its connection fails with, also where nobody looks at ready', async () => {
    registerDriver('test-fails', {
      supports: { deliveries: true } as never,
      connect: () => Promise.reject(new Error('on purpose')),
    });
    const service = work('q', () => {}, { connection: 'test-fails:' });
    await assert.rejects(service.closed, /on purpose/);
    await assert.rejects(service.ready, /on purpose/);
  });
});
