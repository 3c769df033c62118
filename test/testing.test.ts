import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from '../lib/connect.ts';
import type { Delivery } from '../lib/delivery.ts';
import { DeliveryStream } from '../lib/delivery-stream.ts';
import { PullStream } from '../lib/pull-stream.ts';
import { PushStream } from '../lib/push-stream.ts';
import { memory, type TestConnection } from '../lib/testing.ts';
import { nextTurn, push, take } from './support/streams.ts';

describe('a connection for tests', () => {
  let connection: TestConnection;
  beforeEach(() => {
    connection = memory();
  });
  afterEach(() => connection.close());

  /** The deliveries of a queue, as they come. */
  function deliveries(options?: ConstructorParameters<typeof DeliveryStream>[1]): Delivery[] {
    const seen: Delivery[] = [];
    new DeliveryStream('jobs', { connection, ...options }).on('data', (delivery: Delivery) => {
      void delivery.value;
      seen.push(delivery);
    });
    return seen;
  }

  const shown = (seen: readonly Delivery[]): string[] => seen.map(({ value, attempt }) => `${value}#${attempt}`);

  /** Resolves when so many have come. */
  async function come(seen: readonly Delivery[], count: number): Promise<void> {
    while (seen.length < count) await nextTurn();
  }

  /** Whether a promise is settled some turns on. */
  async function isSettled(promise: Promise<unknown>): Promise<boolean> {
    let settled = false;
    const note = (): void => {
      settled = true;
    };
    promise.then(note, note);
    for (let turn = 0; turn < 10; turn += 1) await nextTurn();
    return settled;
  }

  it('is a connection as others are, and shares nothing with them', async () => {
    await connection.ready;
    await push(connection, 'jobs', [1, 2]);
    await using other = memory();
    await using plain = connect('memory:');
    await push(other, 'jobs', ['other']);
    await push(plain, 'jobs', ['plain']);
    assert.deepEqual(await take(connection, 'jobs', 2), [1, 2]);
    assert.deepEqual(connection.stats(), { clients: 0, waiting: 0, strayReplies: 0 });
  });

  describe('advance()', () => {
    it('has what is retried again when its time has come, and not before', async () => {
      const seen = deliveries({ backoff: 60_000 });
      await push(connection, 'jobs', ['a']);
      await come(seen, 1);
      await seen[0]?.retry();
      await connection.advance(59_999);
      assert.deepEqual(shown(seen), ['a#1']);
      await connection.advance(1);
      await come(seen, 2);
      assert.deepEqual(shown(seen), ['a#1', 'a#2']);
      await seen[1]?.ack();
    });

    it('lets what falls due be worked on before what is due later', async () => {
      const order: string[] = [];
      const stream = new DeliveryStream('jobs', { connection, backoff: (attempt) => attempt * 1000 });
      stream.on('data', (delivery: Delivery) => {
        order.push(`${delivery.value}#${delivery.attempt}`);
        if (delivery.attempt < 4) void delivery.retry();
        else void delivery.ack();
      });
      await push(connection, 'jobs', ['a']);
      await connection.idle();
      assert.deepEqual(order, ['a#1']);
      await connection.advance(6000);
      await connection.idle();
      assert.deepEqual(order, ['a#1', 'a#2', 'a#3', 'a#4']);
    });

    it('moves nothing but what is due', async () => {
      const seen = deliveries({ leaseTimeout: 1000 });
      await push(connection, 'jobs', ['a']);
      await come(seen, 1);
      await connection.advance(100_000);
      assert.equal(await seen[0]?.ack(), true);
      assert.equal(seen.length, 1);
    });

    it('refuses what is no time', async () => {
      await assert.rejects(connection.advance(-1), { code: 'ERR_OUT_OF_RANGE' });
      await assert.rejects(connection.advance('1' as never), { code: 'ERR_INVALID_ARG_TYPE' });
    });
  });

  describe('idle()', () => {
    it('waits until all that was written is worked on', async () => {
      const done: unknown[] = [];
      new DeliveryStream('jobs', { connection }).on('data', async (delivery: Delivery) => {
        await nextTurn();
        done.push(delivery.value);
        await delivery.ack();
      });
      const stream = new PushStream('jobs', { connection });
      for (let i = 0; i < 100; i += 1) stream.write(i);
      await connection.idle();
      assert.equal(done.length, 100);
      stream.end();
      await once(stream, 'close');
    });

    it('waits for what lies in a queue, of that name or of any', async () => {
      await push(connection, 'other', [1]);
      await connection.idle('jobs');
      const idle = connection.idle();
      assert.equal(await isSettled(idle), false);
      await take(connection, 'other', 1);
      await idle;
    });

    it('waits for what is held, and for what waits for room', async () => {
      const seen = deliveries();
      await push(connection, 'jobs', ['a']);
      await come(seen, 1);
      const held = connection.idle();
      assert.equal(await isSettled(held), false);
      await seen[0]?.ack();
      await held;
      await push(connection, 'full', [1]);
      const bounded = new PushStream('full', { connection, maxLength: 1 });
      bounded.write(2);
      assert.equal(await isSettled(connection.idle('jobs')), true);
      const idle = connection.idle('full');
      assert.equal(await isSettled(idle), false);
      const stream = new PullStream('full', { connection }).resume();
      await idle;
      await stream.close();
    });

    it('does not wait for what is due later', async () => {
      const seen = deliveries({ backoff: 1000 });
      await push(connection, 'jobs', ['a']);
      await come(seen, 1);
      await seen[0]?.retry();
      await connection.idle();
    });

    it('rejects when the connection is closed', async () => {
      await push(connection, 'jobs', ['a']);
      const rejected = assert.rejects(connection.idle(), { code: 'ERR_MILLRACE_CLOSED' });
      await nextTurn();
      await connection.close();
      await rejected;
      await assert.rejects(connection.idle(), { code: 'ERR_MILLRACE_CLOSED' });
    });

    it('refuses what is no queue', async () => {
      await assert.rejects(connection.idle('no queue'), { code: 'ERR_INVALID_ARG_VALUE' });
      await assert.rejects(connection.idle(1 as never), { code: 'ERR_INVALID_ARG_TYPE' });
    });
  });

  describe('crash()', () => {
    it('has what a consumer held again once its lease has ended, charged to what was seen', async () => {
      const dying = deliveries({ consumer: 'dying', leaseTimeout: 30_000 });
      await push(connection, 'jobs', ['a']);
      await come(dying, 1);
      connection.crash('dying');
      const others = deliveries({ consumer: 'other' });
      await connection.advance(29_999);
      assert.deepEqual(shown(others), []);
      assert.equal(await dying[0]?.ack(), false);
      await connection.advance(1);
      await come(others, 1);
      assert.deepEqual(shown(others), ['a#2']);
      await others[0]?.ack();
      await connection.idle();
    });

    it('has it again at once where a consumer of that name starts', async () => {
      const dying = deliveries({ consumer: 'worker' });
      await push(connection, 'jobs', ['a']);
      await come(dying, 1);
      connection.crash('worker');
      const next = deliveries({ consumer: 'worker' });
      await come(next, 1);
      assert.deepEqual(shown(next), ['a#2']);
      await next[0]?.ack();
    });

    it('gives the streams of the dead nothing more', async () => {
      const dying = deliveries({ consumer: 'dying' });
      await nextTurn();
      connection.crash('dying');
      await push(connection, 'jobs', ['a']);
      await connection.advance(100_000);
      assert.deepEqual(dying, []);
      assert.deepEqual(await take(connection, 'jobs', 1), ['a']);
    });

    it('makes a dead letter of what every attempt dies of', async () => {
      for (const attempt of [1, 2]) {
        const seen = deliveries({ consumer: 'worker', maxAttempts: 2 });
        if (attempt === 1) await push(connection, 'jobs', ['deadly']);
        await come(seen, 1);
        assert.deepEqual(shown(seen), [`deadly#${attempt}`]);
        connection.crash('worker');
      }
      await connection.advance(30_000);
      await connection.idle();
    });

    it('says which consumers there are where none has the name', async () => {
      assert.throws(() => connection.crash('nobody'), { code: 'ERR_INVALID_ARG_VALUE', message: /there are none/ });
      const seen = deliveries({ consumer: 'alice' });
      deliveries({ consumer: 'bob' });
      await push(connection, 'jobs', ['a']);
      await come(seen, 1);
      assert.throws(() => connection.crash('nobody'), { code: 'ERR_INVALID_ARG_VALUE', message: /'alice', 'bob'/ });
      connection.crash('alice');
      assert.throws(() => connection.crash('alice'), { code: 'ERR_INVALID_ARG_VALUE', message: /\('?'bob'\)/ });
      assert.throws(() => connection.crash(1 as never), { code: 'ERR_INVALID_ARG_TYPE' });
    });
  });
});
