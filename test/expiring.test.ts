import assert from 'node:assert/strict';
import { Expiring } from '../lib/expiring.ts';
import { numbers } from './support/streams.ts';

describe('names that expire', () => {
  it('are known until their time', () => {
    let time = 0;
    const names = new Expiring(() => time);
    assert.equal(names.add('a', 10), true);
    assert.equal(names.has('a'), true);
    assert.equal(names.has('b'), false);
    time = 10;
    assert.equal(names.has('a'), false);
  });

  it('are new once, and again when they were over', () => {
    let time = 0;
    const names = new Expiring(() => time);
    assert.deepEqual([names.add('a', 10), names.add('a', 20), names.add('a', 5)], [true, false, false]);
    time = 15;
    assert.equal(names.has('a'), true);
    time = 20;
    assert.equal(names.add('a', 30), true);
    assert.equal(names.has('a'), true);
  });

  it('go when they are over, also behind one that stays', () => {
    let time = 0;
    const names = new Expiring(() => time);
    names.add('stays', 1_000_000);
    for (time of numbers(10_000, 1)) {
      names.add(String(time), time + 10);
      assert.ok(names.size <= 101, `${names.size} names are kept`);
    }
    assert.equal(names.has('stays'), true);
    assert.equal(names.has('10000'), true);
  });

  it('are all kept that are not over', () => {
    const names = new Expiring(() => 0);
    for (const n of numbers(1000)) names.add(String(n), 1);
    assert.equal(numbers(1000).filter((n) => names.has(String(n))).length, 1000);
  });
});
