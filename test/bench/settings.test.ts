import assert from 'node:assert/strict';
import { settingsFrom, TABLES } from './settings.ts';

describe('the arguments of the bench', () => {
  it('are optional', () => {
    const { quick, sizes, markdown, svg } = settingsFrom([]);
    assert.deepEqual(
      { quick, rounds: sizes.rounds, seconds: sizes.seconds },
      { quick: false, rounds: 5, seconds: 900 },
    );
    assert.equal(markdown ?? svg, undefined);
  });

  it('--quick takes less of everything, and two minutes', () => {
    const { quick, sizes } = settingsFrom(['--quick']);
    const usual = settingsFrom([]).sizes;
    assert.equal(quick, true);
    assert.equal(sizes.seconds, 120);
    for (const name of Object.keys(usual) as (keyof typeof usual)[]) assert.ok(sizes[name] < usual[name], name);
  });

  it('--rounds and --count go before what --quick says', () => {
    const { sizes } = settingsFrom(['--quick', '--rounds', '7', '--count', '12']);
    assert.deepEqual([sizes.rounds, sizes.count], [7, 12]);
  });

  it('--growth and --profile are runs of their own', () => {
    const runs = [[], ['--growth'], ['--profile', '--quick']].map((args) => settingsFrom(args).what);
    assert.deepEqual(runs, ['all', 'growth', 'profile']);
  });

  it('--only chooses tables, in their own order', () => {
    assert.deepEqual(settingsFrom(['--only', 'requests,push']).tables, ['push', 'requests']);
    assert.deepEqual(settingsFrom([]).tables, TABLES);
    assert.throws(() => settingsFrom(['--only', 'pushes']), /--only takes some of push, .*memory, not "pushes"/);
  });

  it('--markdown and --svg name files', () => {
    const { markdown, svg } = settingsFrom(['--markdown', 'a.md', '--svg=b.svg']);
    assert.deepEqual([markdown, svg], ['a.md', 'b.svg']);
  });

  for (const args of [
    ['--fast'],
    ['quick'],
    ['--rounds'],
    ['--quick=yes'],
    ['--rounds', '0'],
    ['--count', '1e3'],
    ['--svg='],
    ['--growth', '--profile'],
    ['--growth', '--only', 'push'],
    ['--only='],
    ['--profile', '--svg', 'a.svg'],
  ]) {
    it(`${args.join(' ')} is refused with what is allowed`, () => {
      assert.throws(() => settingsFrom(args), /Usage: .*\[--quick\].*\[--svg FILE\]/s);
    });
  }
});
