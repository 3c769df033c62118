import assert from 'node:assert/strict';
import { Fifo } from '../lib/fifo.ts';
import { numbers } from './support/streams.ts';

/** Takes so many out, one after the other. */
function take(fifo: Fifo<number>, count: number): (number | undefined)[] {
  return numbers(count).map(() => fifo.take());
}

describe('Fifo', () => {
  it('has nothing at first', () => {
    const fifo = new Fifo<number>();
    assert.deepEqual([fifo.size, fifo.take(), [...fifo], fifo.empty()], [0, undefined, [], []]);
  });

  it('gives in the order in which it got, however many come and go in between', () => {
    const fifo = new Fifo<number>();
    let [added, taken] = [0, 0];
    for (const count of numbers(50)) {
      for (const _ of numbers(count)) fifo.add(added++);
      for (const item of take(fifo, count >> 1)) assert.equal(item, taken++);
      assert.equal(fifo.size, added - taken);
    }
    assert.ok(fifo.size > 500);
    assert.deepEqual(take(fifo, fifo.size), numbers(added - taken, taken));
    assert.equal(fifo.take(), undefined);
    assert.equal(fifo.size, 0);
  });

  it('shows all that is in it, and leaves it there', () => {
    const fifo = new Fifo<number>();
    for (const n of numbers(30)) fifo.add(n);
    take(fifo, 20);
    for (const n of numbers(10, 30)) fifo.add(n);
    assert.deepEqual([...fifo], numbers(20, 20));
    assert.equal(fifo.size, 20);
  });

  it('gives all at once, and begins anew', () => {
    const fifo = new Fifo<number>();
    for (const n of numbers(20)) fifo.add(n);
    take(fifo, 10);
    for (const n of numbers(10, 20)) fifo.add(n);
    assert.deepEqual(fifo.empty(), numbers(20, 10));
    assert.equal(fifo.size, 0);
    fifo.add(1);
    assert.deepEqual([fifo.take(), fifo.take()], [1, undefined]);
  });
});
