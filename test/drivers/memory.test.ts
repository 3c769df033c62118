import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { everything } from '../../lib/connect.ts';
import type { Consumer, Held, Outcome } from '../../lib/driver.ts';
import { ManualClock } from '../../lib/drivers/memory/clock.ts';
import { connectMemory, MemoryConnection } from '../../lib/drivers/memory/connection.ts';
import type { MemoryConsumer } from '../../lib/drivers/memory/consumer.ts';
import { Store } from '../../lib/drivers/memory/store.ts';
import { random, seed } from '../support/random.ts';
import { nextTurn, numbers } from '../support/streams.ts';
import { contract } from './contract/contract.ts';
import { ACK, attemptsOf, hold, RELEASE, RETRY, reject, settle } from './contract/stage.ts';

const store = new Store();

contract('memory', {
  supports: everything,
  open: async (prefix = '') => new MemoryConnection(store, { prefix }),
  crash: (_connection, consumer) => {
    for (const one of store.consumers) if (one.name === consumer) one.crash();
  },
});

describe('memory driver', () => {
  const options = { prefix: '', maxClients: 1 };

  it('shares a store by its name, and makes a new one without', async () => {
    const send = (url: string) => connectMemory(url, options).sender('q', { side: 'left' }).send(['a']);
    const take = async (url: string): Promise<number> => {
      const receiver = connectMemory(url, options).receiver('q', { side: 'right', onUnanswered: () => assert.fail() });
      const receiving = receiver.receive(1);
      receiver.cancel();
      return (await receiving).length;
    };
    await send('memory:shared');
    assert.equal(await take('memory:other'), 0);
    assert.equal(await take('memory:shared'), 1);
    await send('memory:');
    assert.equal(await take('memory:'), 0);
  });

  /** Prints what a program, given as a module's text, prints until it ends by itself. */
  async function run(program: string): Promise<string> {
    const head = `import { connectMemory } from './lib/drivers/memory/connection.ts';
      const connection = connectMemory('memory:', { prefix: '', maxClients: 1 });
      const sender = connection.sender('q', { side: 'left' });\n`;
    const args = ['--import', 'tsx', '--input-type=module', '-e', head + program];
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 20_000 });
    return stdout;
  }

  it('keeps the process alive for what somebody waits for, and for nothing else', async () => {
    const waiting = `
      await sender.send(['later'], { delay: 200 });
      console.log(String(await connection.receiver('q', { side: 'right' }).receive(1)));
      await sender.send(['never'], { delay: 60_000 });`;
    assert.equal(await run(waiting), 'later\n');
    const retried = `
      const consumer = connection.consumer('q', { leaseTimeout: 60_000, maxAttempts: 5 });
      const receiving = consumer.receive(1);
      await sender.send(['a']);
      await consumer.settle((await receiving)[0], { verb: 'retry', delay: 100 });
      console.log((await consumer.receive(1))[0].attempt);
      consumer.crash();`;
    assert.equal(await run(retried), '2\n');
  });

  describe('with a clock of the test', () => {
    const DAY = 86_400_000;
    const settled = nextTurn;

    function start() {
      const clock = new ManualClock(1_000_000);
      const own = new Store(clock);
      const connection = new MemoryConnection(own, { prefix: '' });
      const sender = connection.sender('q', { side: 'left', producer: 'p' });
      const consumer = (name: string, onLost = (): void => {}): Consumer =>
        connection.consumer('q', { name, leaseTimeout: 1000, maxAttempts: 5, onLost });
      return { clock, store: own, connection, sender, consumer };
    }

    it('forgets totals and producers a day after their last use, and not before', async () => {
      const { clock, store, connection, sender, consumer } = start();
      const again = () => connection.sender('q', { side: 'left', producer: 'p' }).send(['a']);
      await sender.send(['a']);
      const one = consumer('one');
      await settle(one, await one.receive(1), ACK);
      await one.close();
      await clock.advance(DAY - 1, settled);
      await again();
      const { pushed, waiting } = await connection.inspect('q');
      assert.deepEqual([pushed, waiting], [1, 0]);
      await clock.advance(DAY, settled);
      assert.equal((await connection.inspect('q')).pushed, 0);
      await again();
      assert.equal((await connection.inspect('q')).waiting, 1);
      // A sender that has slept that long finds the queue as it is now.
      const two = consumer('two');
      await settle(two, await two.receive(1), ACK);
      await two.close();
      await clock.advance(DAY, settled);
      await connection.sender('other', { side: 'left' }).send(['b']);
      assert.deepEqual([...store.queues.keys()], ['other']);
      await sender.send(['c']);
      assert.equal((await connection.inspect('q')).waiting, 1);
    });

    it('tells ages by the clock', async () => {
      const { clock, connection, sender, consumer } = start();
      await sender.send(['a', 'b']);
      await sender.send(['c'], { delay: 5000 });
      await clock.advance(300, settled);
      const one = consumer('one');
      const held = await one.receive(1);
      await clock.advance(40, settled);
      const info = await connection.inspect('q');
      assert.equal(info.lag, 340);
      assert.deepEqual(info.consumers, [{ name: 'one', held: 1, leaseEnds: 1_001_340, oldest: 40 }]);
      await settle(one, held, reject('bad'));
      assert.equal((await connection.deadLetters('q', undefined, 1))[0]?.time, 1_000_340);
      await settle(one, await one.receive(1), ACK);
      await clock.advance(4660 + 10, settled);
      assert.equal((await connection.inspect('q')).lag, 10);
    });

    it('puts what is due behind what comes again already, and what is recovered before it', async () => {
      const { clock, sender, consumer } = start();
      await sender.send(['1', '2', '3', '4']);
      const [one, dying] = [consumer('one'), consumer('dying')];
      const [first, second, third] = (await hold(one, 3)) as [Held, Held, Held];
      await hold(dying, 1);
      await one.settle(first, { verb: 'retry', delay: 20 });
      await one.settle(second, { verb: 'retry', delay: 10 });
      await one.settle(third, RETRY);
      await sender.send(['5'], { delay: 10 });
      for (const each of [consumer('dying'), one]) await each.close();
      await clock.advance(20, settled);
      assert.deepEqual(attemptsOf(await hold(consumer('last'), 5)), ['4#1', '3#2', '2#2', '5#1', '1#2']);
    });

    it('loses and doubles nothing, whatever happens', async () => {
      const { clock, connection, sender, consumer } = start();
      const next = random();
      const pick = <T>(from: readonly T[]): T => from[Math.floor(next() * from.length)] as T;
      const outcomes: readonly Outcome[] = [ACK, RELEASE, RETRY, { verb: 'retry', delay: 30 }, reject('bad')];
      const done: string[] = [];
      const holding = new Map<string, { one: MemoryConsumer; held: Held[] }>();
      const restart = (name: string): void => {
        holding.set(name, { one: consumer(name) as MemoryConsumer, held: [] });
      };
      const work = async (settle: (one: MemoryConsumer, item: Held) => Promise<unknown>): Promise<void> => {
        const { one, held } = pick([...holding.values()]);
        const [item] = held.splice(Math.floor(next() * held.length), 1);
        if (!item) return;
        if (next() < 0.5) one.handOver(item);
        if (await settle(one, item)) done.push(String(item.bytes));
      };
      let sent = 0;
      const push = () => sender.send([String(sent++), String(sent++)], { delay: pick([0, 20]) });
      const take = async (): Promise<void> => {
        const { one, held } = pick([...holding.values()]);
        const receiving = one.receive(3);
        one.cancel();
        held.push(...(await receiving));
      };
      const settleOne = () =>
        work(async (one, item) => {
          const outcome = pick(outcomes);
          return (await one.settle(item, outcome)) && outcome === ACK;
        });
      const hop = () =>
        work((one, item) =>
          connection.sender('done', { side: 'left' }).send([item.bytes], { settles: { consumer: one, items: [item] } }),
        );
      const end = async (): Promise<void> => {
        const [name, { one }] = pick([...holding]);
        const ending = next();
        if (ending < 0.3) one.crash();
        else if (ending < 0.6) await one.close();
        if (ending > 0.3 || next() < 0.5) restart(name);
      };
      const wait = () => clock.advance(pick([1, 10, 500]), settled);
      const moves = [push, take, take, take, settleOne, settleOne, settleOne, hop, wait];
      for (const name of ['a', 'b', 'c']) restart(name);
      for (let step = 0; step < 3000; step += 1) {
        await (step % 20 === 0 ? end : pick(moves))();
        const { pushed, settled: over, waiting, delayed, inProcess } = await connection.inspect('q');
        assert.equal(pushed, sent);
        assert.equal(pushed, over + waiting + delayed + inProcess, `step ${step}, seed ${seed}`);
      }
      for (const { one } of holding.values()) await one.close();
      await clock.advance(2000, settled);
      const { waiting, dead } = await connection.inspect('q');
      const last = consumer('last');
      for (let left = waiting; left > 0; left -= 1) {
        const held = await last.receive(1);
        done.push(...held.map(({ bytes }) => String(bytes)));
        await settle(last, held, ACK);
      }
      const letters = await connection.deadLetters('q', undefined, dead);
      done.push(...letters.map(({ bytes }) => String(bytes)));
      assert.deepEqual(
        done.map(Number).sort((a, b) => a - b),
        numbers(sent),
        `seed ${seed}`,
      );
    });
  });
});
