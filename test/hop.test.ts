import assert from 'node:assert/strict';
import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import { type Connection, connect, type Delivery, DeliveryStream, PushStream, WorkTransform } from '../lib/index.ts';
import { describeEach, uniqueQueue } from './support/brokers.ts';
import { closed, drain, numbers, push } from './support/streams.ts';

const LOST = { code: 'ERR_MILLRACE_LEASE_LOST' };

describeEach('a hop from queue to queue', (broker) => {
  let connection: Connection;
  let from: string;
  let to: string;
  beforeEach(() => {
    connection = connect(broker().url);
    [from, to] = [uniqueQueue(), uniqueQueue()];
  });
  afterEach(() => connection.close());

  /** The deliveries of the first `count` items, and their stream. */
  async function deliveries(count: number, consumer?: string): Promise<[Delivery<number>[], DeliveryStream<number>]> {
    const stream = new DeliveryStream<number>(from, { connection, ...(consumer ? { consumer } : {}) });
    const all: Delivery<number>[] = [];
    for await (const delivery of stream.iterator({ destroyOnReturn: false })) {
      if (all.push(delivery as Delivery<number>) === count) break;
    }
    return [all, stream];
  }

  it('stores what was made of a delivery, and settles it', async () => {
    await push(connection, from, numbers(300));
    const source = new DeliveryStream<number>(from, { connection });
    const sink = new PushStream(to, { connection });
    const done = pipeline(source, new WorkTransform((n: number) => n * 2, { concurrency: 5 }), sink);
    let stored = 0;
    sink.on('pushed', () => {
      stored += 1;
      if (stored === 300) void source.close();
    });
    await done;
    const results = (await drain(connection, to)) as number[];
    assert.deepEqual(
      results.sort((a, b) => a - b),
      numbers(300).map((n) => n * 2),
    );
    const { waiting, inProcess, settled } = await connection.inspect(from);
    assert.deepEqual({ waiting, inProcess, settled }, { waiting: 0, inProcess: 0, settled: 300 });
  });

  it('takes deliveries as they are, by pipe and by send()', async () => {
    await push(connection, from, [1, 2]);
    const [[one, two], source] = await deliveries(2);
    const sink = new PushStream<number>(to, { connection });
    sink.write(one);
    await sink.send(two as Delivery<number>);
    assert.deepEqual(await drain(connection, to), [1, 2]);
    assert.equal(await one?.ack(), false);
    await source.close();
    assert.equal((await connection.inspect(from)).waiting, 0);
  });

  it('stores nothing of a delivery that is lost or settled, and goes on', async () => {
    await push(connection, from, [1, 2, 3]);
    const [[one, two, three], source] = await deliveries(3, 'worker');
    const fenced = closed(source);
    const sink = new PushStream<number>(to, { connection });
    const lost: unknown[] = [];
    sink.on('lost', (delivery) => lost.push(delivery));
    assert.equal(await one?.ack(), true);
    await assert.rejects(sink.send(one as Delivery<number>), LOST);
    const successor = new DeliveryStream<number>(from, { connection, consumer: 'worker' });
    const [again] = (await once(successor, 'data')) as [Delivery<number>];
    await assert.rejects(sink.send(two as Delivery<number>), LOST);
    const written = await new Promise((resolve) => sink.write(three, resolve));
    assert.equal((written as { code?: string } | undefined)?.code, LOST.code);
    await sink.send(7);
    assert.equal(again.value, 2);
    await sink.send(again.with(8));
    assert.deepEqual(await drain(connection, to), [7, 8]);
    assert.deepEqual(lost, [one, two, three]);
    await Promise.all([fenced, successor.close({ timeout: 0 })]);
  });

  it('stores all parts of a delivery in one step with its settlement', async () => {
    await push(connection, from, ['abc']);
    const [[whole], source] = await deliveries(1);
    const parts = whole?.withMany(numbers(1000)) ?? [];
    const sink = new PushStream<number>(to, { connection });
    for (const part of parts.slice(0, -1)) sink.write(part);
    await sink.send(-1);
    const between = await connection.inspect(to);
    assert.deepEqual([between.waiting, (await connection.inspect(from)).inProcess], [1, 1]);
    sink.end(parts.at(-1));
    await once(sink, 'close');
    assert.equal((await connection.inspect(from)).inProcess, 0);
    assert.deepEqual(await drain(connection, to), [-1, ...numbers(1000)]);
    await source.close();
  });

  it('stores parts that go to several queues one by one, and settles with the last', async () => {
    await push(connection, from, ['ab']);
    const [[whole], source] = await deliveries(1);
    const [a, b, c] = whole?.withMany(['a', 'b', 'c']) ?? [];
    const other = uniqueQueue();
    const sinks = [new PushStream(to, { connection }), new PushStream(other, { connection })] as const;
    const first = sinks[0].send(a);
    await sinks[1].send(b);
    await first;
    assert.equal((await connection.inspect(from)).inProcess, 1);
    await sinks[0].send(c);
    assert.equal((await connection.inspect(from)).inProcess, 0);
    assert.deepEqual(await drain(connection, to), ['a', 'c']);
    assert.deepEqual(await drain(connection, other), ['b']);
    await source.close();
  });

  it('does not wait for parts that are settled otherwise, or never come', async () => {
    await push(connection, from, ['one', 'two']);
    const [[one, two], source] = await deliveries(2);
    const [a, b] = one?.withMany(['a', 'b']) ?? [];
    const [c] = two?.withMany(['c', 'd']) ?? [];
    const sink = new PushStream(to, { connection });
    const sent = sink.send(a);
    await b?.ack();
    await sent;
    sink.end(c);
    await once(sink, 'close');
    assert.deepEqual(await drain(connection, to), ['a', 'c']);
    assert.equal((await connection.inspect(from)).inProcess, 1);
    await source.close({ timeout: 0 });
    assert.equal((await connection.inspect(from)).waiting, 1);
  });

  it('stores, then acknowledges, between two connections', async () => {
    await push(connection, from, [1, 2]);
    const [[one, two], source] = await deliveries(2);
    await using far = connect('memory:');
    const sink = new PushStream(to, { connection: far });
    sink.write(one);
    await sink.send(two?.with(20));
    assert.deepEqual(await drain(far, to), [1, 20]);
    await source.close();
    const { waiting, inProcess } = await connection.inspect(from);
    assert.deepEqual([waiting, inProcess], [0, 0]);
  });

  it('gives a delivery back to its owner where it could not be stored', async () => {
    await push(connection, from, [1]);
    const [[one], source] = await deliveries(1);
    const sink = new PushStream(to, { connection });
    const failed = assert.rejects(once(sink, 'close'), { code: 'ERR_MILLRACE_INVALID_ITEM' });
    sink.write(one?.with(undefined));
    await failed;
    assert.equal(await one?.ack(), true);
    await source.close();
  });

  it('sends what can never be stored to the dead letters where invalid items are skipped', async () => {
    await push(connection, from, [1]);
    const [[one], source] = await deliveries(1);
    const sink = new PushStream(to, { connection, invalid: 'skip' });
    sink.write(one?.with(undefined));
    await once(sink, 'invalid');
    sink.end();
    await once(sink, 'close');
    await source.close();
    assert.equal((await connection.inspect(from)).dead, 1);
  });

  it('takes no deliveries where the source is numbered by name', async () => {
    await push(connection, from, [1]);
    const [[one], source] = await deliveries(1);
    const sink = new PushStream(to, { connection, producer: 'import' });
    await assert.rejects(sink.send(one), { code: 'ERR_MILLRACE_NOT_SUPPORTED' });
    await sink.close();
    assert.equal(await one?.ack(), true);
    await source.close();
  });

  it('warns of parts that wait for others in vain', async () => {
    await push(connection, from, ['one']);
    const [[one], source] = await deliveries(1);
    const [a] = one?.withMany(['a', 'b']) ?? [];
    const sink = new PushStream(to, { connection });
    const warned = new Promise<NodeJS.ErrnoException>((resolve) => {
      const listen = (warning: NodeJS.ErrnoException): void => {
        if (warning.code !== 'MILLRACE_PARTS') return;
        process.off('warning', listen);
        resolve(warning);
      };
      process.on('warning', listen);
    });
    sink.write(a);
    assert.match((await warned).message, /which are not written/);
    await sink.close();
    await source.close({ timeout: 0 });
  });
});
