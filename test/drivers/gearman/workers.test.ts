import assert from 'node:assert/strict';
import { pipeline } from 'node:stream/promises';
import {
  type Connection,
  connect,
  type Delivery,
  DeliveryStream,
  PullStream,
  PushStream,
  WorkTransform,
  work,
} from '../../../lib/index.ts';
import { uniqueQueue } from '../../support/brokers.ts';
import { GearmanServer } from '../../support/gearman.ts';
import { closed, numbers, push, take, until } from '../../support/streams.ts';

describe('workers of Gearman', () => {
  let server: GearmanServer;
  let connection: Connection;
  let queue: string;

  before(async () => {
    server = await GearmanServer.start();
  });
  after(() => server[Symbol.asyncDispose]());
  beforeEach(() => {
    connection = connect(server.url);
    queue = uniqueQueue();
  });
  afterEach(() => connection.close());

  /** The next deliveries of a stream, held. */
  async function hold(stream: DeliveryStream<number>, count: number): Promise<Delivery<number>[]> {
    const held: Delivery<number>[] = [];
    stream.on('data', (delivery: Delivery<number>) => held.push(delivery));
    await until(() => held.length >= count);
    return held;
  }

  it('hold many jobs on one connection', async () => {
    await push(connection, queue, numbers(50));
    const stream = new DeliveryStream<number>(queue, { connection });
    const held = await hold(stream, 50);
    const { running, workers } = await server.status(queue);
    assert.deepEqual([running, workers], [50, 1]);
    assert.deepEqual(await Promise.all(held.map((one) => one.ack())), new Array(50).fill(true));
    assert.equal((await server.status(queue)).total, 0);
    assert.equal(await held[0]?.ack(), false);
  });

  it('give back what is released, once nothing else that came with it is in use', async () => {
    await push(connection, queue, [1, 2, 3]);
    const stream = new DeliveryStream<number>(queue, { connection });
    const held = await hold(stream, 3);
    const [first, second, third] = held;
    assert.equal(await second?.release(), true);
    assert.equal((await server.status(queue)).running, 3);
    assert.equal(await first?.ack(), true);
    assert.equal(held.length, 3);
    assert.equal(await third?.ack(), true);
    await until(() => held.length === 4);
    assert.equal(held[3]?.value, 2);
    assert.equal(await second?.ack(), false);
    assert.equal(await held[3]?.ack(), true);
  });

  it('go on with another connection when something is released', async () => {
    await push(connection, queue, [1, 2]);
    const stream = new DeliveryStream<number>(queue, { connection, highWaterMark: 2 });
    const seen: number[] = [];
    const held = await hold(stream, 2);
    stream.on('data', ({ value }) => seen.push(value));
    await held[0]?.release();
    await push(connection, queue, [3]);
    await until(() => seen.includes(3));
    assert.deepEqual(seen, [3]);
    await held[1]?.ack();
    await until(() => seen.length === 2);
    assert.deepEqual(seen, [3, 1]);
    for (const one of held) await one.ack();
  });

  it('that wait wait on when something is released, and have it again', async () => {
    await push(connection, queue, [1]);
    const stream = new DeliveryStream<number>(queue, { connection });
    const seen: number[] = [];
    await new Promise<void>((resolve) => {
      stream.on('data', (delivery: Delivery<number>) => {
        seen.push(delivery.value);
        if (seen.length === 3) resolve();
        else setImmediate(() => delivery.release());
      });
    });
    stream.destroy();
    await closed(stream);
    assert.deepEqual(seen, [1, 1, 1]);
  });

  it('try again what has failed, until it has failed too often', async () => {
    await push(connection, queue, ['poison']);
    const stream = new DeliveryStream<string>(queue, { connection, maxAttempts: 3, backoff: 1 });
    const attempts: number[] = [];
    stream.on('data', (delivery: Delivery<string>) => {
      attempts.push(delivery.attempt);
      void delivery.retry({ reason: 'it is poison' });
    });
    const dead = await new Promise((resolve) => stream.once('dead', resolve));
    assert.deepEqual(attempts, [1, 2, 3]);
    assert.deepEqual(dead, { value: 'poison', attempt: 3, reason: 'it is poison' });
    assert.equal((await server.status(queue)).total, 0);
  });

  it('leave what waits to be tried again to others when they are closed', async () => {
    await push(connection, queue, ['later']);
    const stream = new DeliveryStream<string>(queue, { connection });
    stream.on('data', (delivery: Delivery<string>) => void delivery.retry({ delay: 60_000 }));
    await new Promise((resolve) => stream.once('retry', resolve));
    await stream.close();
    assert.deepEqual(await take(connection, queue, 1), ['later']);
  });

  it('put back what they hold when they are destroyed, to be had at once', async () => {
    await push(connection, queue, numbers(20));
    const stream = new DeliveryStream<number>(queue, { connection });
    await hold(stream, 20);
    stream.destroy();
    await closed(stream);
    assert.deepEqual(
      (await take(connection, queue, 20)).sort((a, b) => Number(a) - Number(b)),
      numbers(20),
    );
  });

  it('drop what nobody can read, and say so', async () => {
    await new PushStream(queue, { connection, codec: 'raw' }).send('no JSON');
    await push(connection, queue, ['fine']);
    const stream = new DeliveryStream(queue, { connection });
    const invalid = new Promise<Error & { item?: unknown }>((resolve) => stream.once('invalid', resolve));
    stream.on('data', (delivery: Delivery) => void delivery.ack());
    assert.equal(String((await invalid).item), 'no JSON');
    await until(async () => (await server.status(queue)).total === 0);
  });

  it('lose nothing to a pull that is paused, left and closed', async () => {
    await push(connection, queue, numbers(300));
    const seen: unknown[] = [];
    for (let round = 0; round < 3; round += 1) {
      const stream = new PullStream(queue, { connection });
      for await (const value of stream) {
        seen.push(value);
        if (seen.length % 50 === 0) break;
      }
      await closed(stream);
    }
    seen.push(...(await take(connection, queue, 150)));
    assert.deepEqual(seen, numbers(300));
  });

  it('refuse at construction what Gearman cannot do', () => {
    const error = { code: 'ERR_MILLRACE_NOT_SUPPORTED' };
    assert.throws(() => new PushStream(queue, { connection, side: 'right' }), error);
    assert.throws(() => new PushStream(queue, { connection, maxLength: 1 }), error);
    assert.throws(() => new PushStream(queue, { connection, delay: 1 }), error);
    assert.throws(() => new PushStream(queue, { connection, producer: 'p' }), error);
    assert.throws(() => new PullStream(queue, { connection, side: 'left' }), error);
    assert.throws(() => new DeliveryStream(queue, { connection, consumer: 'me' }), error);
    assert.throws(() => connection.deadLetters(queue), error);
    assert.throws(() => work(queue, (n) => n, { connection, to: uniqueQueue() }), {
      ...error,
      message: 'The broker of this connection does not support hops',
    });
  });

  it('have connections of their own, so maxClients is refused', () => {
    assert.throws(() => connect(server.url, { maxClients: 2 }), {
      code: 'ERR_MILLRACE_NOT_SUPPORTED',
      message: 'Gearman does not support maxClients: each worker has connections of its own',
    });
  });

  it('pass on what they take in two steps, in a pipe that is made by hand', async () => {
    await push(connection, queue, numbers(3));
    const next = uniqueQueue();
    const source = new DeliveryStream<number>(queue, { connection });
    const passing = pipeline(source, new WorkTransform((n: number) => n * 2), new PushStream(next, { connection }));
    assert.deepEqual(await take(connection, next, 3), [0, 2, 4]);
    await until(async () => (await server.status(queue)).total === 0);
    await source.close();
    await passing;
  });

  it('refuse by the promise what is asked for later', async () => {
    const error = { code: 'ERR_MILLRACE_NOT_SUPPORTED' };
    const message = 'The broker of this connection does not support a look into its queues';
    await assert.rejects(connection.inspect(queue), { ...error, message });
    await assert.rejects(async () => {
      for await (const name of connection.queues()) assert.fail(name);
    }, error);
    const stream = new PushStream(queue, { connection });
    await assert.rejects(stream.send(1, { delay: 1 }), error);
    await stream.send(2);
    assert.deepEqual(await take(connection, queue, 1), [2]);
  });

  it('wait until there is room in a queue that is full', async () => {
    const stream = new PushStream<number>(queue, { connection });
    await stream.send(0);
    await server.ask(`maxqueue ${queue} 2\nstatus`);
    const sending = numbers(5, 1).map((n) => stream.send(n));
    await until(async () => (await server.status(queue)).total === 2);
    const taken = await take(connection, queue, 6);
    await Promise.all(sending);
    assert.deepEqual(taken.sort(), numbers(6));
  });

  describe('of several servers', () => {
    let other: GearmanServer;
    let both: Connection;

    beforeEach(async () => {
      other = await GearmanServer.start();
      both = connect(`${other.url},127.0.0.1:${server.port}`);
    });
    afterEach(async () => {
      await both.close();
      await other[Symbol.asyncDispose]();
    });

    it('submit to the first that answers', async () => {
      await push(both, queue, [1, 2]);
      assert.equal((await other.status(queue)).total, 2);
      await other.kill();
      await push(both, queue, [3]);
      assert.equal((await server.status(queue)).total, 1);
    });

    it('take from all', async () => {
      const direct = connect(other.url);
      await push(direct, queue, [1, 2]);
      await push(connection, queue, [3, 4]);
      assert.deepEqual((await take(both, queue, 4)).sort(), [1, 2, 3, 4]);
      await direct.close();
    });

    it('go on with those that are left, and with all when it comes back', async () => {
      const stream = new DeliveryStream<number>(queue, { connection: both });
      const seen: number[] = [];
      stream.on('data', (delivery: Delivery<number>) => {
        seen.push(delivery.value);
        void delivery.ack();
      });
      await until(async () => (await other.status(queue)).workers === 1);
      await other.kill();
      await push(connection, queue, [1]);
      await until(() => seen.length === 1);
      await other.start();
      const direct = connect(other.url);
      await push(direct, queue, [2]);
      await until(() => seen.length === 2);
      assert.deepEqual(seen, [1, 2]);
      await direct.close();
    });
  });
});
