import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type Connection, connect, type Delivery, DeliveryStream } from '../lib/index.ts';
import { describeEach, uniqueQueue } from './support/brokers.ts';
import { closed, drain, push, until } from './support/streams.ts';

describeEach('Delivery', (broker) => {
  let connection: Connection;
  let queue: string;
  let stream: DeliveryStream;
  let deliveries: Delivery[];
  beforeEach(() => {
    connection = connect(broker().url);
    queue = uniqueQueue();
    deliveries = [];
  });
  afterEach(() => connection.close({ timeout: 2000 }));

  /** The delivery of an item, of a stream whose later ones are added to `deliveries`. */
  async function deliver(value: unknown): Promise<Delivery> {
    await push(connection, queue, [value]);
    stream = new DeliveryStream(queue, { connection, backoff: 0 });
    stream.on('data', (delivery) => deliveries.push(delivery));
    await until(() => deliveries.length === 1);
    return deliveries[0] as Delivery;
  }

  /** What is in the queue when the stream has put back what it held. */
  async function rest(): Promise<unknown[]> {
    stream.destroy();
    await closed(stream);
    return drain(connection, queue);
  }

  it('is settled by the first verb', async () => {
    const delivery = await deliver('a');
    const answers = [delivery.ack(), delivery.ack(), delivery.retry(), delivery.reject('no'), delivery.release()];
    assert.deepEqual(await Promise.all(answers), [true, false, false, false, false]);
    assert.deepEqual(await rest(), []);
  });

  it('comes again as the same attempt when it is released', async () => {
    const delivery = await deliver('a');
    stream.on('retry', assert.fail);
    assert.equal(await delivery.release(), true);
    await until(() => deliveries.length === 2);
    assert.equal(deliveries[1]?.value, 'a');
    assert.equal(deliveries[1]?.attempt, 1);
    assert.equal(await delivery.ack(), false);
    assert.deepEqual(await rest(), ['a']);
  });

  it('goes to the dead letters when it is rejected', async () => {
    const delivery = await deliver('a');
    const dead = once(stream, 'dead');
    assert.equal(await delivery.reject('no such thing'), true);
    assert.deepEqual(await dead, [{ value: 'a', attempt: 1, reason: 'no such thing' }]);
    assert.deepEqual(await rest(), []);
  });

  it('throws at once where the options of a retry are wrong, and is not settled', async () => {
    const delivery = await deliver('a');
    assert.throws(() => delivery.retry({ delay: -1 }), { code: 'ERR_OUT_OF_RANGE' });
    assert.throws(() => delivery.retry({ after: 1 } as never), { code: 'ERR_INVALID_ARG_VALUE' });
    assert.equal(await delivery.ack(), true);
  });

  it('bears another value under the same receipt', async () => {
    const delivery = await deliver('a');
    const other = delivery.with(1).with({ b: 2 });
    assert.deepEqual(other.value, { b: 2 });
    assert.equal(other.attempt, 1);
    assert.equal(other.signal, delivery.signal);
    assert.equal(await other.ack(), true);
    assert.equal(await delivery.ack(), false);
    assert.deepEqual(await rest(), []);
  });

  it('is acknowledged with the last of many', async () => {
    const [first, second, third] = (await deliver('a')).withMany([1, 2, 3]);
    assert.equal(await third?.ack(), true);
    assert.equal(await third?.ack(), false);
    assert.equal(await first?.ack(), true);
    assert.equal(second?.value, 2);
    assert.deepEqual(await rest(), ['a']);
    assert.equal(await second?.ack(), false);
  });

  it('is done when all of many are, also those of one of many', async () => {
    const delivery = await deliver('a');
    const [first, second] = delivery.withMany(['b', 'c']);
    const inner = first?.withMany(new Set([1, 2])) ?? [];
    assert.equal(await delivery.ack(), false);
    assert.equal(await first?.ack(), false);
    const answers = [...inner, second].map((one) => one?.ack());
    assert.deepEqual(await Promise.all(answers), [true, true, true]);
    assert.deepEqual(await rest(), []);
  });

  it('is acknowledged when it is made into none', async () => {
    const delivery = await deliver('a');
    assert.deepEqual(delivery.withMany([]), []);
    assert.equal(await delivery.ack(), false);
    assert.deepEqual(await rest(), []);
  });

  it('takes all of many with it when one is not acknowledged', async () => {
    const [first, second, third] = (await deliver('a')).withMany([1, 2, 3]);
    assert.equal(await first?.ack(), true);
    assert.equal(await second?.retry(), true);
    assert.equal(await third?.ack(), false);
    await until(() => deliveries.length === 2);
    assert.equal(deliveries[1]?.attempt, 2);
    assert.equal(deliveries[1]?.value, 'a');
  });

  it('is not opened again by withMany() once it is settled', async () => {
    const [first, second] = (await deliver('a')).withMany([1, 2]);
    await first?.ack();
    const late = first?.withMany([3, 4]) ?? [];
    assert.deepEqual(await Promise.all(late.map((one) => one.ack())), [false, false]);
    assert.deepEqual(first?.withMany([]), []);
    assert.deepEqual(await rest(), ['a']);
    assert.equal(await second?.ack(), false);
  });

  it('is retried behind await using, unless it is settled', async () => {
    const retried: unknown[] = [];
    await deliver('a');
    stream.on('retry', ({ reason }) => retried.push(reason));
    {
      await using delivery = deliveries[0] as Delivery;
      assert.equal(delivery.value, 'a');
    }
    await until(() => deliveries.length === 2 && retried.length === 1);
    {
      await using delivery = deliveries[1] as Delivery;
      await delivery.ack();
    }
    assert.deepEqual(retried, ['left unsettled']);
    assert.deepEqual(await rest(), []);
  });
});
