import assert from 'node:assert/strict';
import { type BarGroup, barChart } from './chart.ts';
import { tagsOf } from './svg-tags.ts';

const groups: readonly BarGroup[] = [
  {
    title: 'Push & store',
    bars: [
      { name: "raw <LPUSH> 'as is'", ratio: 20, owner: 'raw' },
      { name: 'write()', ratio: 18.4, owner: 'millrace' },
      { name: 'slow', ratio: 0, owner: 'peer' },
    ],
  },
  { title: 'Latency', bars: [{ name: 'send()', ratio: 2.5, owner: 'millrace' }] },
];

const barsOf = (svg: string): string[] => svg.match(/<rect class="bar [^>]*>/g) ?? [];
const widthsOf = (svg: string): number[] => barsOf(svg).map((bar) => Number(/ width="([\d.]+)"/.exec(bar)?.[1]));

describe('the chart of the bench', () => {
  const svg = barChart('a < b', 'n & m', groups);

  it('is well formed, with one root', () => {
    const tags = tagsOf(svg);
    assert.equal(tags[0], 'svg');
    assert.equal(tags.filter((tag) => tag === 'svg').length, 1);
    assert.match(svg, /<\/svg>\n$/);
  });

  it('has one bar a case, in the order and in the colour of its owner', () => {
    const owners = barsOf(svg).map((bar) => /bar (\w+)/.exec(bar)?.[1]);
    assert.deepEqual(owners, ['raw', 'millrace', 'peer', 'millrace']);
  });

  it('draws all on one scale, and what is hardly there so that it is seen', () => {
    const [longest = 0, second = 0, least = 0, other = 0] = widthsOf(svg);
    assert.ok(Math.abs(second / longest - 18.4 / 20) < 0.01);
    assert.ok(Math.abs(other / longest - 2.5 / 20) < 0.01);
    assert.equal(least, 1);
  });

  it('writes each number beside its bar', () => {
    const values = Array.from(svg.matchAll(/class="value"[^>]*>([^<]*)</g), ([, value]) => value);
    assert.deepEqual(values, ['20', '18', '0.00', '2.5']);
  });

  it('stays on its paper', () => {
    const [, width = '', height = ''] = /viewBox="0 0 (\d+) (\d+)"/.exec(svg) ?? [];
    for (const [, x] of svg.matchAll(/ x="([\d.]+)"/g)) assert.ok(Number(x) < Number(width));
    for (const [, y] of svg.matchAll(/ y\d?="([\d.]+)"/g)) assert.ok(Number(y) < Number(height));
  });

  it('is light or dark as the reader is', () => {
    assert.match(svg, /@media \(prefers-color-scheme: dark\)/);
  });

  it('is well formed with nothing to show', () => {
    const empty = barChart('title', 'note', []);
    tagsOf(empty);
    assert.equal(barsOf(empty).length, 0);
  });
});
