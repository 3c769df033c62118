import assert from 'node:assert/strict';
import { numbers } from '../../support/streams.ts';
import { type Stage, take, texts } from './stage.ts';

/** Where the length of a queue can be bounded. */
export function bounds(stage: Stage): void {
  it('waits while the queue is full, and keeps the order', async () => {
    const { sender, receiver } = await stage.ends();
    const one = sender({ maxLength: 3 });
    let stored = 0;
    const batches = [['1', '2', '3', '4'], ['5'], ['6', '7']];
    const sending = batches.map((batch) => one.send(batch).then(() => (stored += batch.length)));
    const other = receiver();
    const early = texts(await other.receive(100));
    assert.ok(early.length <= 3, `${early.length} were stored at once`);
    const rest = await take(other, 7 - early.length);
    await Promise.all(sending);
    assert.deepEqual([...early, ...rest], ['1', '2', '3', '4', '5', '6', '7']);
    assert.equal(stored, 7);
  });

  it('goes on when what it stores is taken at once', async () => {
    const { sender, receiver } = await stage.ends();
    const other = receiver();
    const first = other.receive(1);
    const sending = sender({ maxLength: 1 }).send(numbers(20).map(String));
    const items = texts(await first);
    items.push(...(await take(other, 19)));
    await sending;
    assert.deepEqual(items, numbers(20).map(String));
  });

  it('holds nobody else back', async () => {
    const { sender, receiver } = await stage.ends();
    const bounded = sender({ maxLength: 1 }).send(['1', '2']);
    await sender().send(['free']);
    await sender({ maxLength: 10 }).send(['larger']);
    assert.equal((await take(receiver(), 4)).length, 4);
    await bounded;
  });

  it('bounds a queue that several fill at once', async () => {
    const { sender, receiver } = await stage.ends();
    const senders = [sender({ maxLength: 10 }), sender({ maxLength: 10 }), sender({ maxLength: 10 })];
    const sending = senders.map((one) => one.send(numbers(8).map(String)));
    await Promise.race(sending);
    const one = receiver();
    const first = await one.receive(1000);
    assert.ok(first.length <= 10, `${first.length} were stored`);
    await take(one, 24 - first.length);
    await Promise.all(sending);
  });
}
