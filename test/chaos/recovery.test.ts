import assert from 'node:assert/strict';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { type Connection, connect, type Delivery, DeliveryStream } from '../../lib/index.ts';
import { TcpProxy } from '../support/proxy.ts';
import { random, seed } from '../support/random.ts';
import { RedisServer } from '../support/redis.ts';
import { closed, numbers, push, until } from '../support/streams.ts';
import { DURABLE } from './chaos.ts';
import { Child } from './child.ts';
import { leftovers } from './leftovers.ts';

/** So long that nothing can come of its end while a test runs. */
const FOR_EVER = 3_600_000;

/** How long may pass at most before something comes that is to come soon. */
const LONG = 30_000;

/** What a promise gives; rejects when that takes too long. */
async function within<T>(promise: Promise<T>, milliseconds: number, when: string): Promise<T> {
  const timer = new AbortController();
  const late = delay(milliseconds, undefined, timer).then(() => assert.fail(`nothing comes ${when}`));
  late.catch(() => {});
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
  }
}

describe(`a consumer that dies, hangs or is cut off (redis, seed ${seed})`, function () {
  this.timeout(120_000);
  const queue = 'jobs';
  const count = 20;
  let server: RedisServer;
  let client: Redis;
  let connection: Connection;
  let dice: () => number;
  const children: Child[] = [];

  before(async () => {
    server = await RedisServer.start(...DURABLE);
    client = server.client();
  });
  after(() => server[Symbol.asyncDispose]());
  beforeEach(async () => {
    dice = random();
    connection = connect(server.url);
    await push(connection, queue, numbers(count));
  });
  afterEach(async () => {
    for (const child of children.splice(0)) await child[Symbol.asyncDispose]();
    await connection.close();
    // Each test leaves the queue empty, and nobody there.
    assert.deepEqual(await leftovers(client), []);
  });

  function start(script: string, settings: object): Child {
    const child = new Child(script, server.url, settings);
    children.push(child);
    return child;
  }

  /** A process that holds so many items, and may have seen some of them. */
  async function hold(options: { leaseTimeout: number; consumer?: string }, held = 1 + Math.floor(dice() * 10)) {
    const seen = Math.floor(dice() * (held + 1));
    const child = start('holder.ts', { queue, ...options, count: held, seen });
    await child.hear('held');
    return { child, held, seen };
  }

  /** Items with the numbers of their attempts, when who has died may have seen those below `seen`. */
  function attemptsOf(items: readonly number[], seen: number): string[] {
    return items.map((n) => `${n}#${n < seen ? 2 : 1}`);
  }

  type Deliveries = AsyncIterator<Delivery<number>>;

  /** Takes items, and acknowledges each. */
  async function handle(deliveries: Deliveries, amount: number): Promise<string[]> {
    const handled: string[] = [];
    const answers: Promise<boolean>[] = [];
    while (handled.length < amount) {
      const delivery: Delivery<number> = (await within(deliveries.next(), LONG, `behind ${handled}`)).value;
      handled.push(`${delivery.value}#${delivery.attempt}`);
      answers.push(delivery.ack());
    }
    assert.deepEqual(await Promise.all(answers), Array(amount).fill(true));
    return handled;
  }

  it('has its items, in order, before all others with one that lives', async () => {
    const { child, seen } = await hold({ leaseTimeout: 1000 });
    await using stream = new DeliveryStream<number>(queue, { connection, leaseTimeout: 1000 });
    const consumers = async (): Promise<number> => (await connection.inspect(queue)).consumers.length;
    await until(async () => (await consumers()) === 2);
    await child.kill();
    await until(async () => (await consumers()) === 1);
    assert.deepEqual(await handle(stream[Symbol.asyncIterator](), count), attemptsOf(numbers(count), seen));
  });

  it('has its items, in order, before all others with the next one that starts', async () => {
    const { child, seen } = await hold({ leaseTimeout: 1000 });
    await child.kill();
    await using stream = new DeliveryStream<number>(queue, { connection, leaseTimeout: 1000 });
    await until(async () => (await connection.inspect(queue)).inProcess === 0);
    assert.deepEqual(await handle(stream[Symbol.asyncIterator](), count), attemptsOf(numbers(count), seen));
  });

  it('has its items at once, in order, before all others with one of its own name', async () => {
    const own = { leaseTimeout: FOR_EVER, consumer: 'own' };
    const { child, seen } = await hold(own);
    await child.kill();
    await using stream = new DeliveryStream<number>(queue, { connection, ...own });
    assert.deepEqual(await handle(stream[Symbol.asyncIterator](), count), attemptsOf(numbers(count), seen));
  });

  it('changes nothing any more when it wakes up behind another of its own name', async () => {
    const own = { leaseTimeout: FOR_EVER, consumer: 'own' };
    const { child, held, seen } = await hold(own);
    child.freeze(true);
    await using stream = new DeliveryStream<number>(queue, { connection, ...own });
    const deliveries: Deliveries = stream[Symbol.asyncIterator]();
    const handled = await handle(deliveries, 1);
    child.freeze(false);
    child.tell({ ack: true });
    assert.deepEqual(await child.hear('acked'), Array(held).fill(false));
    assert.equal(await child.hear('failed'), 'ERR_MILLRACE_FENCED');
    handled.push(...(await handle(deliveries, count - 1)));
    assert.deepEqual(handled, attemptsOf(numbers(count), seen));
    await child.stop();
  });

  it('changes nothing any more when it wakes up behind the end of its lease', async () => {
    const { child, held, seen } = await hold({ leaseTimeout: 1000 });
    child.freeze(true);
    await using stream = new DeliveryStream<number>(queue, { connection, leaseTimeout: 1000, highWaterMark: count });
    const all: Delivery<number>[] = [];
    stream.on('data', (delivery) => all.push(delivery));
    await until(() => all.length === count);
    child.freeze(false);
    child.tell({ ack: true });
    assert.deepEqual(await child.hear('acked'), Array(held).fill(false));
    const { inProcess } = await connection.inspect(queue);
    assert.equal(inProcess, count);
    const handled = all.map(({ value, attempt }) => `${value}#${attempt}`);
    assert.deepEqual(handled.sort(), attemptsOf(numbers(count), seen).sort());
    assert.deepEqual(await Promise.all(all.map((delivery) => delivery.ack())), Array(count).fill(true));
    await child.stop();
  });

  it('keeps its lease though its event loop is busy for two thirds of it', async () => {
    const leaseTimeout = 6000;
    const { child } = await hold({ leaseTimeout }, count);
    await using other = new DeliveryStream<number>(queue, { connection, leaseTimeout });
    other.on('data', ({ value }) => assert.fail(`${value} is with another`));
    await once(other, 'ready');
    child.tell({ block: 4000, ack: true });
    assert.deepEqual(await child.hear('acked'), Array(count).fill(true));
    await child.stop();
  });

  const outages = {
    'is away': async (time: number) => {
      await server.kill();
      await delay(time);
      await server.start();
    },
    hangs: async (time: number) => {
      server.freeze(true);
      await delay(time);
      server.freeze(false);
    },
  };
  for (const [what, happen] of Object.entries(outages)) {
    it(`keeps its lease though the server ${what} for longer`, async () => {
      const leaseTimeout = 600;
      await push(connection, queue, numbers(3 * count, count));
      const { child: dead } = await hold({ leaseTimeout }, count);
      const living = await Promise.all(numbers(3).map(() => hold({ leaseTimeout }, count)));
      await dead.kill();
      await happen(2 * leaseTimeout);
      // They clear the dead away, and not each other.
      await until(async () => (await connection.inspect(queue)).waiting === count);
      for (const { child } of living) child.tell({ ack: true });
      for (const { child } of living) assert.deepEqual(await child.hear('acked'), Array(count).fill(true));
      for (const { child } of living) await child.stop();
      await using stream = new DeliveryStream<number>(queue, { connection, leaseTimeout });
      await handle(stream[Symbol.asyncIterator](), count);
    });
  }

  it('finds again what a lost answer had moved to it', async () => {
    const total = 2000;
    await push(connection, queue, numbers(total - count, count));
    await using proxy = await TcpProxy.start(server.port);
    await using through = connect(proxy.url);
    const stream = new DeliveryStream<number>(queue, { connection: through, highWaterMark: 16 });
    stream.on('lost', ({ value }) => assert.fail(`${value} is lost`));
    const deliveries: Deliveries = stream[Symbol.asyncIterator]();
    const handled: string[] = [];
    while (handled.length < total) {
      const cut = proxy.cut(dice() < 0.25 ? 'client' : 'server', dice() < 0.5 ? 0 : dice());
      handled.push(...(await handle(deliveries, Math.min(total - handled.length, 1 + Math.floor(dice() * 50)))));
      await cut;
    }
    assert.deepEqual(handled, attemptsOf(numbers(total), 0));
    stream.destroy();
    await closed(stream);
  });

  it('finds again what a lost answer had moved to it while it waited', async () => {
    await using proxy = await TcpProxy.start(server.port);
    await using through = connect(proxy.url);
    const total = 60;
    const stream = new DeliveryStream<number>(queue, { connection: through });
    const deliveries: Deliveries = stream[Symbol.asyncIterator]();
    const handled = await handle(deliveries, count);
    for (let n = count; n < total; n += 1) {
      const handling = handle(deliveries, 1);
      await until(async () => (await client.info('clients')).includes('blocked_clients:1\r'));
      // Who is cut off again and again waits longer and longer before the next try.
      const cut = n % 2 === 0 && proxy.cut('server', dice());
      await push(connection, queue, [n]);
      handled.push(...(await handling));
      await cut;
    }
    assert.deepEqual(handled, attemptsOf(numbers(total), 0));
    stream.destroy();
    await closed(stream);
  });

  for (const consumer of ['own', undefined]) {
    const how = consumer ? 'under its own name' : 'under another name';
    it(`makes a dead letter of what has killed it in each attempt, and of nothing else, started again ${how}`, async () => {
      const maxAttempts = 5;
      const poison = Math.floor(dice() * count);
      const settings = { queue, to: 'done', poison, leaseTimeout: consumer ? FOR_EVER : 400, maxAttempts, consumer };
      for (let death = 0; death < maxAttempts; death += 1) await start('poisoned.ts', settings).killed();
      const last = start('poisoned.ts', settings);
      await until(async () => {
        const { waiting, inProcess, consumers } = await connection.inspect(queue);
        return waiting + inProcess === 0 && consumers.length === 1;
      });
      await last.stop();
      const dead: string[] = [];
      for await (const letter of connection.deadLetters(queue)) {
        dead.push(`${Buffer.from(letter.bytes)}: ${letter.reason}`);
        await letter.drop();
      }
      assert.deepEqual(dead, [`${poison}: attempt 5 of 5 failed: its consumer died`]);
      const done = (await client.lrange('done', 0, -1)).map(Number).sort((a, b) => a - b);
      assert.deepEqual(
        done,
        numbers(count).filter((n) => n !== poison),
      );
      await client.del('done');
    });
  }
});
