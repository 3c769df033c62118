import type { Growth } from './growth-cases.ts';
import type { Column, Subject } from './growth-subjects.ts';
import type { CurveGroup } from './line-chart.ts';
import { median, table } from './table.ts';

/** What a run printed: what the case measured, and the most MB that its process ever had. */
export interface GrowthFigures extends Growth {
  readonly rss: number;
}

/** The medians of one size. */
export interface Point extends GrowthFigures {
  readonly size: number;
}

/** How many times as much as the size a cost may grow before it is called worse than linear: the rest is noise. */
const TOLERANCE = 1.2;

/** The medians of what was measured, by size and by round. */
export function pointsOf({ sizes, columns }: Subject, measured: readonly (readonly GrowthFigures[])[]): Point[] {
  return sizes.map((size, at) => {
    const rounds = measured[at] ?? [];
    const of = (figure: (one: GrowthFigures) => number): number => median(rounds.map(figure));
    return {
      size,
      figures: columns.map((_, column) => of(({ figures }) => figures[column] ?? 0)),
      clients: of(({ clients }) => clients),
      live: of(({ live }) => live),
      rss: of(({ rss }) => rss),
    };
  });
}

/** The table of one subject, and what it says of the way in which costs grow. */
export function textOf({ unit, columns }: Subject, points: readonly Point[]): string {
  const head = [unit, ...columns.map(({ title }) => title), 'in use MB', 'peak RSS MB', 'clients'];
  const rows = points.map(({ size, figures, live, rss, clients }) => [
    size.toLocaleString('en'),
    ...figures.map((figure) => figure.toFixed(figure < 10 ? 2 : 0)),
    live.toFixed(1),
    rss.toFixed(0),
    String(clients),
  ]);
  return `${table(head, rows)}\n\n${verdictOn(columns, points)}`;
}

function verdictOn(columns: readonly Column[], points: readonly Point[]): string {
  const costs = [
    ...columns.map((column, at) => ({
      title: nameOf(column) || 'time an item',
      growth: steepest(points, ({ figures }) => (column.isRate ? 1 / (figures[at] ?? 0) : (figures[at] ?? 0))),
    })),
    { title: 'memory in use', growth: steepest(points, ({ live }) => live) },
    { title: 'resident', growth: steepest(points, ({ rss }) => rss) },
    { title: 'clients', growth: steepest(points, ({ clients }) => clients) },
  ];
  const worse = costs.filter(({ growth }) => growth > TOLERANCE).map(({ title }) => title);
  const list = costs.map(({ title, growth }) => `${title} ${growth.toFixed(2)}`).join(', ');
  const verdict = worse.length > 0 ? `Worse than linear: ${worse.join(', ')}.` : 'None is worse than linear.';
  return `Growth up to the largest size, from the smallest or the one before, where 1 is as much as the size: ${list}. ${verdict}`;
}

/**
 * How many times as much as the size a cost has grown at the largest size: since the smallest, or since the one before, whichever is more.
 * (Between the first ones much is noise: there is little of either.)
 */
export function steepest(points: readonly Point[], costOf: (point: Point) => number): number {
  const last = points.at(-1) as Point;
  const since = (point: Point): number => costOf(last) / costOf(point) / (last.size / point.size);
  return Math.max(since(points[0] as Point), since(points.at(-2) as Point));
}

/** The curves of one subject: what a size makes of rates, memory and clients. */
export function curvesOf({ title, unit, columns }: Subject, points: readonly Point[]): CurveGroup {
  const curve = (name: string, of: (point: Point) => number) => ({
    name,
    points: points.map((point) => ({ x: point.size, y: of(point) })),
  });
  const rates = columns.flatMap((column, at) =>
    column.isRate ? [curve(nameOf(column) || 'items', ({ figures }) => figures[at] ?? 0)] : [],
  );
  const memory = [curve('in use', ({ live }) => live), curve('peak resident', ({ rss }) => rss)];
  return {
    title,
    unit,
    panels: [
      { measure: 'thousand a second', curves: rates },
      { measure: 'MB of memory', curves: memory },
      { measure: 'clients of Redis', curves: [curve('clients', ({ clients }) => clients)] },
    ],
  };
}

/** What a column is about, without its unit. */
function nameOf({ title }: Column): string {
  return /^(.*): /.exec(title)?.[1] ?? '';
}
