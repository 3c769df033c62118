import assert from 'node:assert/strict';
import { Pace } from '../lib/pace.ts';

/** Busy for at least so many milliseconds by the clock that is measured with. */
function spend(milliseconds: number): void {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

describe('Pace', () => {
  it('begins with nothing', () => {
    assert.equal(new Pace().items, 0);
  });

  it('counts what is done within 10 ms at once', () => {
    const pace = new Pace();
    for (let n = 0; n < 50; n += 1) pace.add(1);
    assert.ok(pace.items >= 1);
  });

  it('is nothing for a worker that takes longer than that for an item', () => {
    const pace = new Pace();
    for (let n = 0; n < 3; n += 1) {
      spend(11);
      pace.add(1);
    }
    assert.equal(pace.items, 0);
  });

  it('is a share of what was done in a longer time', () => {
    const pace = new Pace();
    spend(20);
    pace.add(1000);
    assert.ok(pace.items > 0);
    assert.ok(pace.items <= 500, `${pace.items}`);
  });
});
