import assert from 'node:assert/strict';
import { curvesOf, type GrowthFigures, pointsOf, steepest, textOf } from './growth-report.ts';
import type { Subject } from './growth-subjects.ts';

const subject: Subject = {
  name: 'test',
  title: 'Test',
  unit: 'things',
  sizes: [1, 10, 100],
  warmSize: 1,
  columns: [
    { title: 'thousand items/s', isRate: true },
    { title: 'a look: ms', isRate: false },
  ],
};

const figuresOf = (rate: number, look: number, live: number, clients = 2): GrowthFigures => ({
  figures: [rate, look],
  live,
  clients,
  rss: 100,
});

/** Two rounds of each size, and one that is far off. */
const measured = [
  [figuresOf(100, 1, 10), figuresOf(100, 1, 10), figuresOf(1, 1000, 1000)],
  [figuresOf(100, 5, 11), figuresOf(100, 5, 11), figuresOf(1, 1000, 1000)],
  [figuresOf(100, 90, 110), figuresOf(100, 90, 110), figuresOf(1, 1000, 1000)],
];

describe('the growth of the bench', () => {
  it('goes by medians', () => {
    const points = pointsOf(subject, measured);
    assert.deepEqual(points[1], { ...figuresOf(100, 5, 11), size: 10 });
  });

  it('of a cost is told in times as much as the size, since the smallest or the one before', () => {
    const points = pointsOf(subject, measured);
    assert.equal(
      steepest(points, ({ live }) => live),
      1,
    );
    assert.equal(
      steepest(points, ({ figures }) => figures[1] ?? 0),
      1.8,
    );
    assert.equal(
      steepest(points, ({ clients }) => clients),
      0.1,
    );
  });

  it('is called worse than linear where it is, and only there', () => {
    const text = textOf(subject, pointsOf(subject, measured));
    assert.match(text, /Worse than linear: a look\.$/);
    const linear = measured.map((rounds) => rounds.map((one) => ({ ...one, figures: [100, 1] })));
    assert.match(textOf(subject, pointsOf(subject, linear)), /None is worse than linear\.$/);
  });

  it('of a rate is what an item takes', () => {
    const falling = [100, 10, 0.1].map((rate) => [figuresOf(rate, 1, 1)]);
    assert.match(
      textOf(subject, pointsOf(subject, falling)),
      /time an item 10\.00,.*Worse than linear: time an item\.$/,
    );
  });

  it('has curves of rates, memory and clients, by size', () => {
    const { panels } = curvesOf(subject, pointsOf(subject, measured));
    assert.deepEqual(
      panels.map(({ curves }) => curves.map(({ name }) => name)),
      [['items'], ['in use', 'peak resident'], ['clients']],
    );
    assert.deepEqual(panels[1]?.curves[0]?.points.at(-1), { x: 100, y: 110 });
  });
});
