import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  type Connection,
  connect,
  DeliveryStream,
  type Request,
  registerDriver,
  type Service,
  serve,
} from '../lib/index.ts';
import type { RequestPacket } from '../lib/packet.ts';
import { memory } from '../lib/testing.ts';
import { Asker } from './support/asking.ts';
import { describeEach, uniqueQueue } from './support/brokers.ts';
import { closed, drain, nextTurn, numbers, until } from './support/streams.ts';

/** What the requests that are left in a queue ask with. */
async function left(connection: Connection, queue: string): Promise<unknown[]> {
  return (await drain(connection, queue)).map((packet) => (packet as RequestPacket).parameters);
}

describeEach('serve', (broker) => {
  let connection: Connection;
  let queue: string;
  let asker: Asker;
  beforeEach(async () => {
    connection = connect(broker().url);
    queue = uniqueQueue();
    asker = await Asker.open(connection, queue);
  });
  afterEach(async () => {
    await asker.close();
    await connection.close({ timeout: 2000 });
  });

  it('answers the requests of a queue', async () => {
    const service = serve(queue, { square: (n: number) => n * n, cube: async (n: number) => n ** 3 }, { connection });
    await service.ready;
    assert.equal(await asker.data('square', 3), 9);
    assert.equal(await asker.data('cube', 3), 27);
    assert.equal((await asker.error('root', 9)).code, 'ERR_MILLRACE_NO_METHOD');
    await service.close();
    await service.closed;
    assert.deepEqual(await left(connection, queue), []);
  });

  it('has one handler answer all methods, and takes the options of its streams', async () => {
    const handler = async (value: unknown, { method, signal }: Request): Promise<unknown> => {
      if (method === 'fail') throw new Error('on purpose');
      if (method === 'slow') await once(signal, 'abort');
      return value;
    };
    const options = { connection, stack: true, maxBytes: 1000, timeout: 30, concurrency: 3, consumer: 'the-one' };
    await using service = serve(queue, handler, options);
    assert.match(((await asker.error('fail')) as { stack?: string }).stack ?? '', /serve\.test/);
    assert.equal((await asker.error('slow')).code, 'ERR_MILLRACE_TIMEOUT');
    assert.equal((await asker.error('echo', 'x'.repeat(2000))).code, 'ERR_MILLRACE_DEAD_LETTER');
    assert.equal(await asker.data('echo', 'x'), 'x');
    const { consumers } = await connection.inspect(queue);
    assert.deepEqual(
      consumers.map(({ name }) => name),
      ['the-one'],
    );
    assert.ok(service.stream instanceof DeliveryStream);
  });

  it('tells of what is no request by its stream', async () => {
    await using service = serve(queue, () => {}, { connection });
    const dead = once(service.stream, 'dead');
    await asker.send({ no: 'request' });
    const [{ value, reason }] = await dead;
    assert.deepEqual(value, { no: 'request' });
    assert.equal(reason.code, 'ERR_MILLRACE_INVALID_ITEM');
  });

  it('finishes and answers, when it is closed, what its handlers have, and leaves the rest in the queue', async () => {
    const started: unknown[] = [];
    const go: (() => void)[] = [];
    const handler = (value: unknown): Promise<unknown> => {
      started.push(value);
      return new Promise((resolve) => go.push(() => resolve(value)));
    };
    await asker.send(...numbers(50).map((n) => asker.packet('m', n)));
    const service = serve(queue, handler, { connection, concurrency: 5 });
    await until(() => started.length === 5);
    const closing = service.close();
    await once(service.stream, 'end');
    for (const release of go) release();
    await closing;
    await until(() => asker.replies.length === 5);
    assert.deepEqual(started, numbers(5));
    assert.deepEqual(await left(connection, queue), numbers(45, 5));
  });

  it('aborts, when the time of a close is over, handlers and puts back what they have', async () => {
    const signals: AbortSignal[] = [];
    const handler = async (value: unknown, { signal }: Request): Promise<void> => {
      signals.push(signal);
      // One heeds its signal, one never settles.
      if (value === 1) await new Promise(() => {});
      await once(signal, 'abort');
      throw signal.reason;
    };
    await asker.send(...numbers(3).map((n) => asker.packet('m', n)));
    const service = serve(queue, handler, { connection, concurrency: 2 });
    await until(() => signals.length === 2);
    await service.close({ timeout: 60 });
    await service.closed;
    for (const signal of signals) assert.equal(signal.reason.code, 'ERR_MILLRACE_CLOSED');
    assert.deepEqual(await left(connection, queue), numbers(3));
    assert.deepEqual(asker.replies, []);
  });

  it('closes behind await using, with what its handlers have', async () => {
    const packet = asker.packet('m', 1);
    await asker.send(packet);
    let started = false;
    {
      const handler = async (value: unknown): Promise<unknown> => {
        started = true;
        for (let turns = 0; turns < 10; turns += 1) await nextTurn();
        return value;
      };
      await using _service = serve(queue, handler, { connection });
      await until(() => started);
    }
    assert.deepEqual(await left(connection, queue), []);
    await asker.reply(packet);
  });

  it('is closed when its signal is aborted', async () => {
    await asker.send(asker.packet('m', 1));
    const controller = new AbortController();
    const signals: AbortSignal[] = [];
    const handler = async (_value: unknown, { signal }: Request): Promise<void> => {
      signals.push(signal);
      await once(signal, 'abort');
    };
    const service = serve(queue, handler, { connection, signal: controller.signal });
    await until(() => signals.length === 1);
    controller.abort();
    await service.closed;
    await until(() => signals[0]?.aborted === true);
    assert.equal(signals[0]?.reason.code, 'ERR_MILLRACE_CLOSED');
    assert.deepEqual(await left(connection, queue), [1]);
  });

  it('fails when another process starts under its name', async () => {
    const options = { connection, consumer: 'the-one', leaseTimeout: 1000 };
    const service = serve(queue, () => {}, options);
    await service.ready;
    const other = new DeliveryStream(queue, options);
    other.resume();
    await assert.rejects(service.closed, { code: 'ERR_MILLRACE_FENCED' });
    other.destroy();
    await closed(other);
  });

  it('shares the requests of a queue with others: each is answered once', async () => {
    const counts = [0, 0, 0];
    const services: Service[] = counts.map((_, index) => {
      const count = async (n: number): Promise<number> => {
        counts[index] = Number(counts[index]) + 1;
        await nextTurn();
        return -n;
      };
      return serve(queue, { negate: count }, { connection, concurrency: 4 });
    });
    const packets = numbers(300, 1).map((n) => asker.packet('negate', n));
    for (const packet of packets) {
      await asker.send(packet);
      await nextTurn();
    }
    await until(() => asker.replies.length >= 300);
    for (const service of services) await service.close();
    assert.equal(asker.replies.length, 300);
    for (const [index, packet] of packets.entries()) {
      assert.deepEqual(asker.repliesTo(packet), [{ id: packet.id, success: true, data: -(index + 1) }]);
    }
    assert.equal(
      counts.reduce((sum, count) => sum + count),
      300,
    );
  });
});

describe('serve', () => {
  it('has the request of a worker that dies answered by another, once', async () => {
    await using connection = memory();
    const queue = 'requests';
    const asker = await Asker.open(connection, queue);
    const attempts: string[] = [];
    const go: (() => void)[] = [];
    const start = (consumer: string): Service => {
      const handler = (_value: unknown, { attempt }: Request): Promise<string> => {
        attempts.push(`${consumer} ${attempt}`);
        return new Promise((resolve) => go.push(() => resolve(consumer)));
      };
      return serve(queue, handler, { connection, consumer, leaseTimeout: 1000 });
    };
    const first = start('first');
    const packet = asker.packet('m', 1);
    await asker.send(packet);
    await until(() => go.length === 1);
    connection.crash('first');
    const second = start('second');
    await second.ready;
    await connection.advance(1000);
    await until(() => go.length === 2);
    for (const release of go) release();
    assert.deepEqual(await asker.reply(packet), { id: packet.id, success: true, data: 'second' });
    await connection.idle();
    assert.deepEqual(attempts, ['first 1', 'second 2']);
    assert.equal(asker.replies.length, 1);
    await second.close();
    await asker.close();
    await connection.close();
    await first.closed;
  });

  it('tells the requester of a request that its workers die of', async () => {
    await using connection = memory();
    const asker = await Asker.open(connection, 'requests');
    const packet = asker.packet('m', 1);
    await asker.send(packet);
    let started = 0;
    const handler = (): Promise<void> => {
      started += 1;
      return new Promise(() => {});
    };
    for (const consumer of ['first', 'second']) {
      serve('requests', handler, { connection, consumer, leaseTimeout: 1000, maxAttempts: 2 });
      const before = started;
      await until(() => started > before);
      connection.crash(consumer);
      await connection.advance(1000);
    }
    serve('requests', handler, { connection });
    const reply = await asker.reply(packet);
    assert.equal(reply.success === false && reply.error.code, 'ERR_MILLRACE_DEAD_LETTER');
    assert.equal(started, 2);
    await asker.close();
  });

  it('checks its arguments', () => {
    const connection = 'memory:';
    const make = (options: object) => () => serve('q', () => {}, { connection, ...options });
    assert.throws(() => serve('a queue', () => {}, { connection }), { code: 'ERR_INVALID_ARG_VALUE' });
    assert.throws(() => serve('q', undefined as never, { connection }), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(() => serve('q', { a: 1 } as never, { connection }), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(() => serve('q', () => {}, null as never), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(make({ concurrency: 0 }), { code: 'ERR_OUT_OF_RANGE' });
    assert.throws(make({ timeout: -1 }), { code: 'ERR_OUT_OF_RANGE' });
    assert.throws(make({ stack: 1 }), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(make({ leaseTimeout: 1 }), { code: 'ERR_OUT_OF_RANGE' });
    for (const name of ['codec', 'schema', 'to', 'unknown']) {
      assert.throws(make({ [name]: 'json' }), { code: 'ERR_INVALID_ARG_VALUE' });
    }
  });

  it('is refused where the broker knows no requests', () => {
    const connecting = (): never => assert.fail('it was asked to connect');
    registerDriver('test-no-serving', {
      supports: { deliveries: true, requests: false } as never,
      connect: connecting,
    });
    assert.throws(() => serve('q', () => {}, { connection: 'test-no-serving:' }), {
      code: 'ERR_MILLRACE_NOT_SUPPORTED',
    });
  });
});
