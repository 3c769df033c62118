import assert from 'node:assert/strict';
import { partOf, roundsOf, runInRounds } from './run.ts';

/** Two cases whose runs give their places in the order of all. */
function cases() {
  const order: string[] = [];
  return {
    order,
    run: async (name: string): Promise<number> => order.push(name),
    warmUp: async (name: string): Promise<number> => order.push(`warm ${name}`),
  };
}

const never = Number.POSITIVE_INFINITY;

describe('the rounds of the bench', () => {
  it('run each case once a round, side by side, when all are warm', async () => {
    const { order, run, warmUp } = cases();
    const figures = await runInRounds('test', { count: 2, end: never }, ['a', 'b'], run, warmUp);
    assert.deepEqual(order, ['warm a', 'warm b', 'a', 'b', 'a', 'b']);
    assert.deepEqual(figures, [
      [3, 5],
      [4, 6],
    ]);
    assert.equal(roundsOf(figures), 2);
  });

  it('are one at least, and no more where the time is over', async () => {
    const { order, run } = cases();
    await runInRounds('test', { count: 3, end: 0 }, ['a', 'b'], run);
    assert.deepEqual(order, ['a', 'b']);
  });

  it('share the time that is left with those behind them', () => {
    const end = performance.now() + 1_000_000;
    const { count, end: first } = partOf({ count: 3, end }, 4);
    assert.equal(count, 3);
    assert.equal(Math.round((end - first) / 10_000), 75);
    assert.equal(partOf({ count: 3, end }, 1).end, end);
  });
});
