import assert from 'node:assert/strict';
import { digitsOf, median, microseconds, percentile, ratio, spread, table } from './table.ts';

describe('the figures of the bench', () => {
  it('median is the one in the middle, or halfway between two', () => {
    assert.equal(median([9, 1, 5]), 5);
    assert.equal(median([9, 1, 5, 2]), 3.5);
  });

  it('percentile is a number that so many do not exceed', () => {
    const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
    assert.equal(percentile(hundred, 50), 50);
    assert.equal(percentile(hundred, 99), 99);
  });

  it('a ratio is the median of those of each round, and a dash with nothing to compare with', () => {
    assert.equal(ratio([10, 30, 40], [10, 10, 10]), '3.00');
    assert.equal(ratio([10], undefined), '–');
  });

  it('microseconds are those that are known, and a dash where none is', () => {
    assert.equal(microseconds([1, undefined, 3]), '2.00');
    assert.equal(microseconds([0]), '0.00');
    assert.equal(microseconds([undefined]), '–');
  });

  it('small numbers have a digit behind the point', () => {
    assert.equal(spread([3.14, 2.72], digitsOf(3)), '2.7–3.1');
    assert.equal(spread([314, 272], digitsOf(300)), '272–314');
  });

  it('a row with too few cells is filled up', () => {
    const lines = table(['case', 'µs'], [['one', '12'], ['not there']]).split('\n');
    assert.deepEqual(lines, ['| case      | µs |', '| --------- | -: |', '| one       | 12 |', '| not there |    |']);
  });
});
