import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type Connection, connect, type DeadLetter, type Delivery, DeliveryStream, PushStream } from '../lib/index.ts';
import { describeEach, uniqueQueue } from './support/brokers.ts';
import { drain, numbers, push } from './support/streams.ts';

describeEach('dead letters', (broker) => {
  let connection: Connection;
  let queue: string;
  beforeEach(() => {
    connection = connect(broker().url);
    queue = uniqueQueue();
  });
  afterEach(() => connection.close());

  /** Rejects all that is in the queue, `count` items. */
  async function rejectAll(count: number): Promise<void> {
    const stream = new DeliveryStream<number>(queue, { connection });
    let rejected = 0;
    for await (const delivery of stream) {
      await delivery.reject(`no use for ${delivery.value}`);
      rejected += 1;
      if (rejected === count) break;
    }
    await stream.close();
  }

  async function letters(): Promise<DeadLetter[]> {
    const all: DeadLetter[] = [];
    for await (const letter of connection.deadLetters(queue)) all.push(letter);
    return all;
  }

  it('are read in the order in which they came, page by page, to the end', async () => {
    await push(connection, queue, numbers(250));
    await rejectAll(250);
    const all = await letters();
    assert.deepEqual(
      all.map(({ bytes, reason, attempts }) => [Buffer.from(bytes).toString(), reason, attempts]),
      numbers(250).map((n) => [String(n), `no use for ${n}`, 1]),
    );
    assert.ok(all.every(({ time }) => Math.abs(time - Date.now()) < 60_000));
  });

  it('are put back or dropped, once', async () => {
    await push(connection, queue, [1, 2, 3]);
    await rejectAll(3);
    const [one, two] = (await letters()) as [DeadLetter, DeadLetter];
    assert.deepEqual(await Promise.all([one.putBack(), two.drop()]), [true, true]);
    assert.deepEqual(await Promise.all([one.putBack(), two.putBack(), two.drop()]), [false, false, false]);
    assert.deepEqual(
      (await letters()).map(({ bytes }) => String(bytes)),
      ['3'],
    );
    assert.deepEqual(await drain(connection, queue), [1]);
  });

  it('keep the original bytes of what nobody can read', async () => {
    const raw = new PushStream(queue, { connection, codec: 'raw' });
    const bytes = Buffer.from([0x7b, 0xff, 0x00, 0x0a]);
    await raw.send(bytes);
    await raw.close();
    const stream = new DeliveryStream(queue, { connection });
    stream.resume();
    const [error] = await once(stream, 'invalid');
    assert.equal(error.code, 'ERR_MILLRACE_INVALID_ITEM');
    await stream.close();
    const [letter] = await letters();
    assert.ok(Buffer.from(letter?.bytes ?? []).equals(bytes));
  });

  it('are none where there are none, and refuse a bad name', async () => {
    assert.deepEqual(await letters(), []);
    assert.throws(() => connection.deadLetters('a b'), { code: 'ERR_INVALID_ARG_VALUE' });
    await assert.rejects(connection.inspect(''), { code: 'ERR_INVALID_ARG_VALUE' });
  });

  it('fail where the connection is closed', async () => {
    const closed = connect(broker().url);
    await closed.close();
    await assert.rejects(once(closed.deadLetters(queue), 'data'), { code: 'ERR_MILLRACE_CLOSED' });
    await assert.rejects(closed.inspect(queue), { code: 'ERR_MILLRACE_CLOSED' });
  });
});

describeEach('a look into queues', (broker) => {
  it('tells what waits, what is held, by whom, and for how long', async () => {
    await using connection = connect(broker().url, { prefix: `${uniqueQueue()}:` });
    await push(connection, 'jobs', [1, 2, 3]);
    const stream = new DeliveryStream('jobs', { connection, consumer: 'me' });
    const [delivery] = (await once(stream, 'data')) as [Delivery];
    stream.pause();
    const { consumers, lag, ...counts } = await connection.inspect('jobs');
    assert.equal(counts.waiting + counts.inProcess, 3);
    assert.equal(counts.pushed, 3);
    assert.ok(lag < 60_000);
    assert.deepEqual(
      consumers.map(({ name, held }) => [name, held]),
      [['me', counts.inProcess]],
    );
    const names: string[] = [];
    for await (const name of connection.queues()) names.push(name);
    assert.deepEqual(names, ['jobs']);
    await delivery.ack();
    await stream.close();
    assert.deepEqual((await connection.inspect('jobs')).consumers, []);
  });
});
