import assert from 'node:assert/strict';
import { type CurveGroup, lineCharts } from './line-chart.ts';
import { tagsOf } from './svg-tags.ts';

const groups: readonly CurveGroup[] = [
  {
    title: 'Queues & more',
    unit: 'queues',
    panels: [
      {
        measure: 'MB <of memory>',
        curves: [
          {
            name: 'in use & live',
            points: [
              { x: 1, y: 10 },
              { x: 10, y: 20 },
              { x: 1_000_000, y: 40 },
            ],
          },
          { name: 'resident', points: [{ x: 1000, y: 0 }] },
        ],
      },
      { measure: 'clients', curves: [{ name: 'clients', points: [{ x: 1, y: 0 }] }] },
    ],
  },
  { title: 'Nothing', unit: 'things', panels: [{ measure: 'none', curves: [] }] },
];

/** The places of a curve's points. */
function placesOf(svg: string, curve: number): number[][] {
  const [, path = ''] = new RegExp(`<path class="curve curve${curve}"[^>]* d="M([^"]*)"`).exec(svg) ?? [];
  return path.split('L').map((place) => place.split(' ').map(Number));
}

describe('the line charts of the bench', () => {
  const svg = lineCharts('a < b', 'n & m', groups);

  it('are well formed, with one root', () => {
    const tags = tagsOf(svg);
    assert.equal(tags[0], 'svg');
    assert.equal(tags.filter((tag) => tag === 'svg').length, 1);
  });

  it('have x by powers of ten, and y from 0 on', () => {
    const [[x1 = 0, y1 = 0] = [], [x10 = 0, y10 = 0] = [], [last = 0, top = 0] = []] = placesOf(svg, 0);
    const [[x1000 = 0, bottom = 0] = []] = placesOf(svg, 1);
    assert.ok(Math.abs((x10 - x1) * 6 - (last - x1)) < 1);
    assert.ok(Math.abs((x1000 - x1) * 2 - (last - x1)) < 1);
    assert.ok(Math.abs((bottom - y1) * 4 - (bottom - top)) < 1);
    assert.ok(Math.abs((bottom - y10) * 2 - (bottom - top)) < 1);
  });

  it('name the sizes shortly, and curves where there are several', () => {
    const ticks = Array.from(svg.matchAll(/text-anchor="middle">([^<]*)</g), ([, text]) => text);
    assert.deepEqual(ticks, ['1', '10', '1M', '1k', 'queues', '1', 'queues', 'things']);
    const names = Array.from(svg.matchAll(/<tspan[^>]*>([^<]*)</g), ([, text]) => text);
    assert.deepEqual(names, ['in use &amp; live', 'resident']);
  });

  it('stay on their paper, and have no place that is none', () => {
    const [, width = '', height = ''] = /viewBox="0 0 (\d+) (\d+)"/.exec(svg) ?? [];
    assert.doesNotMatch(svg, /NaN|Infinity/);
    for (const [, x] of svg.matchAll(/ x="([\d.]+)"/g)) assert.ok(Number(x) < Number(width));
    for (const [, y] of svg.matchAll(/ y="([\d.]+)"/g)) assert.ok(Number(y) < Number(height));
    for (const [x = 0, y = 0] of placesOf(svg, 0)) assert.ok(x < Number(width) && y < Number(height));
  });
});
