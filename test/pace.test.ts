import assert from 'node:assert/strict';
import { Pace } from '../lib/pace.ts';

/** A pace, and a clock of the test's own that says how many milliseconds each of so many items takes. */
function paced() {
  let now = 0;
  const pace = new Pace(() => now);
  const work = (count: number, milliseconds: number): void => {
    for (let n = 0; n < count; n += 1) {
      now += milliseconds;
      pace.add(1);
    }
  };
  return { pace, work, pass: (milliseconds: number) => (now += milliseconds) };
}

describe('Pace', () => {
  it('begins with nothing', () => {
    assert.equal(paced().pace.items, 0);
  });

  it('counts what is done within 10 ms at once', () => {
    const { pace, work } = paced();
    work(50, 0.1);
    assert.equal(pace.items, 50);
  });

  for (const [milliseconds, items] of [
    [50, 0],
    [5, 2],
    [1, 10],
    [0.25, 40],
    [0.002, 5000],
  ] as const) {
    it(`is ${items} where an item takes ${milliseconds} ms`, () => {
      const { pace, work } = paced();
      work(Math.ceil(200 / milliseconds), milliseconds);
      assert.ok(Math.abs(pace.items - items) <= items / 1000 + 0.1, `${pace.items}`);
    });
  }

  it('follows another pace within 100 ms', () => {
    const { pace, work } = paced();
    work(100_000, 0.001);
    work(2, 50);
    assert.equal(pace.items, 0);
    work(20, 1);
    assert.equal(pace.items, 10);
    work(20_000, 1 / 1024);
    assert.equal(pace.items, 10_240);
  });

  it('counts no time in which there was nothing to do', () => {
    const { pace, work, pass } = paced();
    for (let n = 0; n < 10; n += 1) {
      work(4, 1);
      pace.rest();
      pass(1000);
      pace.rest();
      pace.add(0);
      pace.work();
    }
    work(10, 1);
    assert.equal(pace.items, 10);
  });

  it('waits until half of what is ahead is gone, and has room for as much as is got through', () => {
    const { pace, work } = paced();
    assert.equal(pace.room(0), 0);
    work(30, 1);
    assert.deepEqual(
      [11, 6, 5, 1, 0].map((ahead) => pace.room(ahead)),
      [0, 0, 5, 9, 10],
    );
  });
});
