import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { numbers } from '../../support/streams.ts';
import { drain, type Stage, take } from './stage.ts';

/** Where the numbers of a producer outlive its process. */
export function producers(stage: Stage): void {
  it('stores nothing twice that a producer of that name has stored before', async () => {
    const { connection, queue, sender } = await stage.ends();
    const producer = randomUUID();
    const first = sender({ producer });
    assert.equal(await first.send(['1', '2']), true);
    await first.send(['3']);
    await first.close();
    const second = sender({ producer });
    await second.send(['1']);
    assert.equal(await second.send(['2', '3', '4']), true);
    await second.send(['5']);
    await second.close();
    assert.deepEqual(await drain(connection, queue), ['1', '2', '3', '4', '5']);
  });

  it('goes on where a producer stopped, though what it stored is gone', async () => {
    const { connection, queue, sender, receiver } = await stage.ends();
    const producer = randomUUID();
    await sender({ producer }).send(numbers(300).map(String));
    await take(receiver(), 300);
    const again = sender({ producer });
    for (let from = 0; from < 500; from += 50) await again.send(numbers(50, from).map(String));
    assert.deepEqual(await drain(connection, queue), numbers(200, 300).map(String));
  });

  it('numbers the items of each name, and of each queue, by themselves', async () => {
    const { connection, queue, sender } = await stage.ends();
    const producer = randomUUID();
    await sender({ producer }).send(['a']);
    await sender({ producer: randomUUID() }).send(['b']);
    await sender().send(['c']);
    await connection.sender(`${queue}2`, { side: 'left', producer }).send(['d']);
    assert.deepEqual(await drain(connection, queue), ['a', 'b', 'c']);
    assert.deepEqual(await drain(connection, `${queue}2`), ['d']);
  });

  if (stage.subject.supports.maxLength) {
    it('waits for room only with what is not stored yet', async () => {
      const { sender, receiver } = await stage.ends();
      const producer = randomUUID();
      await sender({ producer, maxLength: 2 }).send(['1', '2']);
      const again = sender({ producer, maxLength: 2 });
      await again.send(['1', '2']);
      const sending = again.send(['3']);
      assert.deepEqual(await take(receiver(), 3), ['1', '2', '3']);
      await sending;
    });
  }
}
