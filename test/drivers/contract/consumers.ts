import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { Held, Outcome } from '../../../lib/driver.ts';
import { random } from '../../support/random.ts';
import { numbers } from '../../support/streams.ts';
import {
  ACK,
  attemptsOf,
  drain,
  getsNothing,
  hold,
  nextTurn,
  RELEASE,
  RETRY,
  reject,
  type Stage,
  settle,
  take,
  textsOf,
} from './stage.ts';

/** Where items can be held: how they are taken. */
export function consumers(stage: Stage): void {
  it('holds items in the order in which they were sent, as a first attempt', async () => {
    const { sender, consumer } = await stage.ends();
    await sender().send(['1', '2', '3']);
    await sender().send(['4']);
    assert.deepEqual(attemptsOf(await hold(consumer(), 4)), ['1#1', '2#1', '3#1', '4#1']);
  });

  it('holds at most as many more as were asked for', async () => {
    const { sender, consumer } = await stage.ends();
    await sender().send(numbers(10).map(String));
    const one = consumer();
    assert.deepEqual(textsOf(await one.receive(1)), ['0']);
    const some = textsOf(await one.receive(4));
    assert.ok(some.length <= 4, `${some.length} were given`);
    const rest = textsOf(await hold(one, 9 - some.length));
    assert.deepEqual([...some, ...rest], numbers(9, 1).map(String));
  });

  it('waits for the first item to hold', async () => {
    const { sender, consumer } = await stage.ends();
    const receiving = consumer().receive(5);
    await sender().send(['late']);
    assert.deepEqual(textsOf(await receiving), ['late']);
  });

  it('gives each item to one consumer alone, or to one receiver', async () => {
    const { sender, receiver, consumer } = await stage.ends();
    const all = [consumer(), consumer(), receiver()];
    const taken: number[] = [];
    const note = (items: readonly (Held | Buffer)[]): void => {
      for (const item of items) taken.push(Number('bytes' in item ? item.bytes : item));
    };
    const working = all.map(async (one) => {
      while (taken.length < 300) note(await one.receive(4));
      for (const each of all) each.cancel();
    });
    const one = sender();
    for (const n of numbers(60)) await one.send(numbers(5).map((i) => String(n * 5 + i)));
    await Promise.all(working);
    assert.deepEqual(
      taken.sort((a, b) => a - b),
      numbers(300),
    );
  });

  it('holds any bytes', async () => {
    const { sender, consumer } = await stage.ends();
    const bodies = [
      randomBytes(1000),
      Buffer.alloc(0),
      Buffer.from('1 2 żółć\0\r\n'),
      Buffer.from([0xff, 0xfe, 0, 0x0a]),
      // What a broker may keep as a number, and must not write otherwise.
      ...['123', '-5', '007', '1e3', ' 8', '9223372036854775808'].map((text) => Buffer.from(text)),
      randomBytes(100_000),
    ];
    await sender().send(bodies);
    const one = consumer();
    const first = await hold(one, bodies.length);
    await settle(one, first, RETRY);
    const second = await hold(one, bodies.length);
    for (const held of [first, second]) {
      assert.deepEqual(
        held.map(({ bytes }) => bytes),
        bodies,
      );
    }
  });

  it('holds an item of 10 MB', async () => {
    const { sender, consumer } = await stage.ends();
    const body = randomBytes(10_000_000);
    await sender().send([body]);
    const one = consumer();
    const held = await one.receive(1);
    assert.ok(held[0]?.bytes.equals(body));
    await settle(one, held, ACK);
  });

  it('ends a call of a consumer that waits when it is cancelled, and can be asked again', async () => {
    const { sender, consumer } = await stage.ends();
    const one = consumer();
    one.cancel();
    for (let round = 0; round < 20; round += 1) {
      const receiving = one.receive(1);
      if (round % 2) await nextTurn();
      one.cancel();
      assert.deepEqual(await receiving, []);
    }
    await sender().send(['still there']);
    assert.deepEqual(textsOf(await hold(one, 1)), ['still there']);
  });

  it('loses no item to a cancel of a consumer that races with it', async () => {
    const { sender, consumer } = await stage.ends();
    const one = consumer();
    const source = sender();
    const taken: Held[] = [];
    const rounds = numbers(200);
    for (const n of rounds) {
      const receiving = one.receive(2);
      const sending = source.send([String(n)]);
      if (n % 2) await nextTurn();
      one.cancel();
      taken.push(...(await receiving));
      await sending;
    }
    taken.push(...(await hold(one, rounds.length - taken.length)));
    assert.deepEqual(textsOf(taken), rounds.map(String));
    await settle(one, taken, ACK);
  });

  it('holds nothing of another queue, or of another prefix', async () => {
    const { connection, queue, sender, consumer } = await stage.ends();
    const prefixed = await stage.open('other:');
    await sender().send(['a']);
    await connection.sender(`${queue}2`, { side: 'left' }).send(['b']);
    await prefixed.sender(queue, { side: 'left' }).send(['c']);
    const all = [consumer(), stage.consumer(connection, `${queue}2`), stage.consumer(prefixed, queue)];
    const held = await Promise.all(all.map((one) => one.receive(10)));
    assert.deepEqual(held.map(textsOf), [['a'], ['b'], ['c']]);
  });
}

/** Where items can be held: what becomes of them. */
export function settlements(stage: Stage): void {
  it('deletes what is acknowledged', async () => {
    const { connection, queue, sender, consumer } = await stage.ends();
    await sender().send(['1', '2', '3']);
    const one = consumer();
    const [first, , third] = await hold(one, 3);
    await settle(one, [third, first] as Held[], ACK);
    await one.close();
    assert.deepEqual(await drain(connection, queue), ['2']);
  });

  it('has what is retried again before the list, as one attempt more', async () => {
    const { sender, consumer } = await stage.ends();
    await sender().send(['1', '2', '3', '4']);
    const one = consumer();
    const held = await hold(one, 3);
    await settle(one, held.slice(0, 1), RETRY);
    await settle(one, held.slice(1), RETRY);
    const again = await hold(one, 3);
    assert.deepEqual(attemptsOf(again), ['1#2', '2#2', '3#2']);
    await settle(one, again, RETRY);
    assert.deepEqual(attemptsOf(await hold(one, 4)), ['1#3', '2#3', '3#3', '4#1']);
  });

  it('has what is rejected no more', async () => {
    const { connection, queue, sender, consumer } = await stage.ends();
    await sender().send(['bad', 'good']);
    const one = consumer();
    await settle(one, await one.receive(1), reject('no good'));
    assert.deepEqual(await drain(connection, queue), ['good']);
  });

  it('settles nothing once it is closed', async () => {
    const { sender, consumer } = await stage.ends();
    await sender().send(['a', 'b']);
    const one = consumer();
    const held = await hold(one, 2);
    await one.close();
    for (const item of held) assert.equal(await one.settle(item, ACK).catch(() => false), false);
    assert.deepEqual(attemptsOf(await hold(consumer(), 2)).sort(), ['a#1', 'b#1']);
  });

  it('gives nobody else what is held', async () => {
    const { sender, consumer } = await stage.ends();
    await sender().send(['a']);
    await hold(consumer(), 1);
    await getsNothing(consumer());
  });
}

/** Where items can be held: in what order, and as which attempt, they come again, and to whom. */
export function comings(stage: Stage): void {
  it('has what is released first of all, in order, as the same attempt', async () => {
    const { sender, consumer } = await stage.ends();
    await sender().send(['1', '2', '3', '4', '5']);
    const one = consumer();
    const held = await hold(one, 4);
    await settle(one, held.slice(0, 1), RETRY);
    // In one turn, and not in their order.
    await settle(one, held.slice(1).toReversed(), RELEASE);
    assert.deepEqual(attemptsOf(await hold(one, 5)), ['2#1', '3#1', '4#1', '1#2', '5#1']);
  });

  it('keeps the attempts of what is released after a retry', async () => {
    const { sender, consumer } = await stage.ends();
    await sender().send(['a']);
    const one = consumer();
    await settle(one, await hold(one, 1), RETRY);
    await settle(one, await hold(one, 1), RELEASE);
    assert.deepEqual(attemptsOf(await hold(one, 1)), ['a#2']);
  });

  it('gives a receiver what comes again first, and takes it back in order', async () => {
    const { sender, receiver, consumer } = await stage.ends();
    await sender().send(['1', '2', '3', '4']);
    const one = consumer();
    await settle(one, await hold(one, 2), RETRY);
    const other = receiver();
    const items: Buffer[] = [];
    while (items.length < 2) items.push(...(await other.receive(2 - items.length)));
    assert.deepEqual(items.map(String), ['1', '2']);
    await other.giveBack(items);
    await other.close();
    assert.deepEqual(await take(receiver(), 4), ['1', '2', '3', '4']);
  });

  it('wakes those who wait with what comes again', async () => {
    const { sender, receiver, consumer } = await stage.ends();
    const one = consumer();
    for (const [outcome, expected] of [
      [RETRY, 'a#2'],
      [RELEASE, 'b#1'],
    ] as const) {
      await sender().send([expected.slice(0, 1)]);
      const held = await hold(one, 1);
      const other = consumer();
      const waiting = other.receive(1);
      await nextTurn();
      await settle(one, held, outcome);
      const got = await waiting;
      assert.deepEqual(attemptsOf(got), [expected]);
      await settle(other, got, ACK);
    }
    await sender().send(['c']);
    const held = await hold(one, 1);
    const waiting = receiver().receive(1);
    await nextTurn();
    await settle(one, held, RELEASE);
    assert.deepEqual((await waiting).map(String), ['c']);
  });

  it('tells a thousand equal items apart, whatever becomes of which', async () => {
    const { connection, queue, sender, consumer } = await stage.ends();
    const one = consumer();
    for (let i = 0; i < 10; i += 1) await sender().send(new Array<string>(100).fill('same'));
    const held = await hold(one, 1000);
    const outcomes: readonly Outcome[] = [ACK, RETRY, RELEASE, reject('one of many')];
    const next = random();
    const order = held.map((item, i) => ({ item, outcome: outcomes[i % 4] as Outcome, at: next() }));
    order.sort((a, b) => a.at - b.at);
    const answers = await Promise.all(order.map(({ item, outcome }) => one.settle(item, outcome)));
    assert.ok(answers.every((answer) => answer));
    const again = await hold(one, 500);
    assert.deepEqual(
      again.map(({ attempt }) => attempt),
      [...new Array(250).fill(1), ...new Array(250).fill(2)],
    );
    await settle(one, again, ACK);
    await one.close();
    assert.deepEqual(await drain(connection, queue), []);
    if (stage.subject.supports.inspection) assert.equal((await connection.inspect(queue)).dead, 250);
  });

  it('puts back what a consumer holds when it is closed, first of all, in order, as the same attempt', async () => {
    const { sender, consumer } = await stage.ends();
    await sender().send(['1', '2', '3', '4', '5', '6']);
    const one = consumer();
    const held = await hold(one, 5);
    for (const item of held.slice(0, 4)) one.handOver(item);
    await settle(one, held.slice(1, 2), ACK);
    await settle(one, held.slice(4), RETRY);
    void one.settle(held[2] as Held, RELEASE);
    await one.close();
    await one.close();
    assert.deepEqual(attemptsOf(await hold(consumer(), 5)), ['1#1', '3#1', '4#1', '5#2', '6#1']);
  });
}
