import assert from 'node:assert/strict';
import type { Held, Sender } from '../../../lib/driver.ts';
import { uniqueQueue } from '../../support/brokers.ts';
import { numbers } from '../../support/streams.ts';
import { attemptsOf, drain, type Ends, hold, nextTurn, type Stage, take, textsOf } from './stage.ts';

/** Where storing items and settling what they were made of is one step. */
export function hops(stage: Stage): void {
  /** A queue with items, and where they go next. */
  async function hop(...items: string[]): Promise<{ from: Ends; to: Ends; next: Sender }> {
    const from = await stage.ends();
    const to = stage.endsOf(from.connection, uniqueQueue());
    await from.sender().send(items);
    return { from, to, next: to.sender() };
  }

  it('stores items and settles what they were made of', async () => {
    const { from, to, next } = await hop('1', '2', '3');
    const one = from.consumer();
    const [first, second, third] = (await hold(one, 3)) as [Held, Held, Held];
    assert.equal(await next.send(['one'], { settles: { consumer: one, items: [first] } }), true);
    assert.equal(await next.send(['two', 'three'], { settles: { consumer: one, items: [third, second] } }), true);
    await one.close();
    assert.deepEqual(await drain(from.connection, from.queue), []);
    assert.deepEqual(await take(to.receiver(), 3), ['one', 'two', 'three']);
  });

  it('stores many items for one, and one for many', async () => {
    const { from, to, next } = await hop('1', '2', '3');
    const one = from.consumer();
    const held = await hold(one, 3);
    await next.send(numbers(500).map(String), { settles: { consumer: one, items: held.slice(0, 1) } });
    await next.send(['sum'], { settles: { consumer: one, items: held.slice(1) } });
    await one.close();
    assert.deepEqual(await drain(from.connection, from.queue), []);
    assert.deepEqual(await take(to.receiver(), 501), [...numbers(500).map(String), 'sum']);
  });

  it('keeps the order of hops and other batches that are sent without waiting', async () => {
    const { from, to, next } = await hop(...numbers(100).map(String));
    const one = from.consumer();
    const held = await hold(one, 100);
    const sent = held.flatMap((item, n) => [
      next.send([`${n}a`], { settles: { consumer: one, items: [item] } }),
      next.send([`${n}b`]),
    ]);
    assert.ok((await Promise.all(sent)).every((stored) => stored));
    assert.deepEqual(
      await take(to.receiver(), 200),
      numbers(100).flatMap((n) => [`${n}a`, `${n}b`]),
    );
  });

  it('stores nothing, and says so, where the consumer has been fenced off', async () => {
    const { from, to, next } = await hop('1', '2');
    const former = from.consumer({ name: 'worker', onLost: () => {} });
    const held = await hold(former, 2);
    const later = from.consumer({ name: 'worker' });
    const again = await hold(later, 2);
    assert.equal(await next.send(['a'], { settles: { consumer: former, items: held.slice(0, 1) } }), false);
    assert.equal(await next.send(['b', 'c'], { settles: { consumer: former, items: held } }), false);
    assert.equal(await next.send(['d'], { settles: { consumer: later, items: again } }), true);
    assert.deepEqual(await drain(to.connection, to.queue), ['d']);
  });

  it('goes on behind a hop that came too late', async () => {
    const { from, to, next } = await hop('1');
    const former = from.consumer({ name: 'worker', onLost: () => {} });
    const held = await hold(former, 1);
    await hold(from.consumer({ name: 'worker' }), 1);
    const answers = await Promise.all([
      next.send(['a']),
      next.send(['late'], { settles: { consumer: former, items: held } }),
      next.send(['b']),
    ]);
    assert.deepEqual(answers, [true, false, true]);
    assert.deepEqual(await drain(to.connection, to.queue), ['a', 'b']);
  });

  it('hops within one queue', async () => {
    const { from } = await hop('1', '2');
    const one = from.consumer();
    await from.sender().send(['3'], { settles: { consumer: one, items: await hold(one, 1) } });
    assert.deepEqual(attemptsOf(await hold(one, 2)), ['2#1', '3#1']);
  });

  if (stage.subject.supports.delay) {
    it('stores items that are due later', async () => {
      const { from, to, next } = await hop('1');
      const one = from.consumer();
      const start = Date.now();
      await next.send(['later'], { delay: 60, settles: { consumer: one, items: await hold(one, 1) } });
      assert.deepEqual(attemptsOf(await hold(to.consumer(), 1)), ['later#1']);
      assert.ok(Date.now() - start >= 58);
      await one.close();
      assert.deepEqual(await drain(from.connection, from.queue), []);
    });
  }

  if (stage.subject.supports.maxLength) {
    it('waits until there is room for all', async () => {
      const { from, to } = await hop('1');
      const bounded = to.sender({ maxLength: 3 });
      await bounded.send(['a', 'b']);
      const one = from.consumer();
      let stored = false;
      const sending = bounded
        .send(['c', 'd'], { settles: { consumer: one, items: await hold(one, 1) } })
        .then((answer) => {
          stored = answer;
        });
      await nextTurn();
      assert.equal(stored, false);
      assert.deepEqual(await take(to.receiver(), 4), ['a', 'b', 'c', 'd']);
      await sending;
      assert.equal(stored, true);
    });

    it('stores more than there ever is room for once the queue is empty', async () => {
      const { from, to } = await hop('1');
      const bounded = to.sender({ maxLength: 2 });
      await bounded.send(['a']);
      const one = from.consumer();
      const sending = bounded.send(['b', 'c', 'd'], { settles: { consumer: one, items: await hold(one, 1) } });
      assert.deepEqual(await take(to.receiver(), 4), ['a', 'b', 'c', 'd']);
      assert.equal(await sending, true);
    });

    it('stores nothing where the consumer is fenced off while it waits for room', async () => {
      const { from, to } = await hop('1');
      const bounded = to.sender({ maxLength: 1 });
      await bounded.send(['a']);
      const former = from.consumer({ name: 'worker', onLost: () => {} });
      const sending = bounded.send(['late'], { settles: { consumer: former, items: await hold(former, 1) } });
      const later = from.consumer({ name: 'worker' });
      assert.deepEqual(textsOf(await hold(later, 1)), ['1']);
      assert.deepEqual(await take(to.receiver(), 1), ['a']);
      assert.equal(await sending, false);
      assert.deepEqual(await drain(to.connection, to.queue), []);
    });
  }
}
