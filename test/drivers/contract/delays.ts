import assert from 'node:assert/strict';
import { ACK, attemptsOf, hold, nextTurn, type Stage, settle, take, textsOf } from './stage.ts';

/** Clocks that tick in milliseconds may differ by one at either end. */
const TICK = 2;

/** Where items can be due later. */
export function delays(stage: Stage): void {
  it('gives nothing before it is due', async () => {
    const { sender, receiver } = await stage.ends();
    const start = Date.now();
    await sender().send(['later'], { delay: 100 });
    await sender().send(['now'], { delay: 0 });
    const one = receiver();
    assert.deepEqual(await take(one, 1), ['now']);
    assert.deepEqual(await take(one, 1), ['later']);
    assert.ok(Date.now() - start >= 100 - TICK, `given after ${Date.now() - start} ms`);
  });

  it('gives items in the order in which they are due, and then in that in which they were sent', async () => {
    const { sender, receiver } = await stage.ends();
    const one = sender();
    await Promise.all([
      one.send(['3', '4'], { delay: 400 }),
      one.send(['1', '1', '2'], { delay: 40 }),
      one.send(['5'], { delay: 600 }),
    ]);
    assert.deepEqual(await take(receiver(), 6), ['1', '1', '2', '3', '4', '5']);
  });

  it('wakes one that waits with what is due before what it waited for', async () => {
    const { sender, receiver } = await stage.ends();
    await sender().send(['at last'], { delay: 20_000 });
    const waiting = receiver().receive(1);
    await nextTurn();
    await sender().send(['sooner'], { delay: 50 });
    assert.deepEqual((await waiting).map(String), ['sooner']);
  });

  if (!stage.subject.supports.deliveries) return;

  it('holds what was delayed as a first attempt', async () => {
    const { sender, consumer } = await stage.ends();
    const one = consumer();
    const receiving = one.receive(10);
    await nextTurn();
    await sender().send(['later'], { delay: 50 });
    const held = await receiving;
    assert.deepEqual(attemptsOf(held), ['later#1']);
    await settle(one, held, ACK);
  });

  it('retries an item after its delay, as one attempt more', async () => {
    const { sender, consumer } = await stage.ends();
    await sender().send(['failing', 'other']);
    const one = consumer();
    const start = Date.now();
    await settle(one, await one.receive(1), { verb: 'retry', delay: 100 });
    assert.deepEqual(textsOf(await hold(one, 1)), ['other']);
    await sender().send(['last']);
    assert.deepEqual(textsOf(await hold(one, 1)), ['last']);
    assert.deepEqual(attemptsOf(await hold(one, 1)), ['failing#2']);
    assert.ok(Date.now() - start >= 100 - TICK, `given after ${Date.now() - start} ms`);
  });

  it('keeps equal items apart that are due at the same time', async () => {
    const { sender, consumer } = await stage.ends();
    await sender().send(['same', 'same', 'same']);
    const one = consumer();
    await settle(one, await hold(one, 3), { verb: 'retry', delay: 30 });
    assert.deepEqual(attemptsOf(await hold(one, 3)), ['same#2', 'same#2', 'same#2']);
  });
}
