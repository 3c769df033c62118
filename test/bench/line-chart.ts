import { escaped, HEADING, legible, MARGIN, pageOf, textAt, WIDTH } from './svg.ts';

/** A line through what was measured, `x` being 1 or more. */
export interface Curve {
  readonly name: string;
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

/** The curves on one scale. */
export interface Panel {
  readonly measure: string;
  readonly curves: readonly Curve[];
}

/** Panels side by side. */
export interface CurveGroup {
  readonly title: string;
  /** What `x` is a number of. */
  readonly unit: string;
  readonly panels: readonly Panel[];
}

/** In pixels: what is drawn of a panel, and what a group takes from top to bottom. */
const PLOT_HEIGHT = 110;
const GROUP_HEIGHT = 214;
const GAP = 60;
/** From a group's top to its title, to the names of its curves, to its plots; below them to the numbers, and to the unit. */
const TITLE = 14;
const NAMES = 34;
const PLOT = 46;
const TICKS = 16;
const UNIT = 32;

interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
}

/** Charts of curves as the text of an SVG file: `x` by powers of ten, `y` from 0 on; dark where the reader's screen is. */
export function lineCharts(title: string, note: string, groups: readonly CurveGroup[]): string {
  const body = groups.map((group, index) => groupOf(group, HEADING + index * GROUP_HEIGHT + TITLE));
  return pageOf(title, note, HEADING + groups.length * GROUP_HEIGHT + MARGIN, body);
}

function groupOf({ title, unit, panels }: CurveGroup, top: number): string {
  const width = (WIDTH - 2 * MARGIN - GAP * panels.length) / panels.length;
  const boxes = panels.map((panel, index) => {
    const box = { left: MARGIN + GAP + index * (width + GAP), top: top + PLOT, width };
    return panelOf(panel, unit, box);
  });
  return [textAt(MARGIN, top, 'group', title), ...boxes].join('\n');
}

function panelOf({ measure, curves }: Panel, unit: string, { left, top, width }: Box): string {
  const points = curves.flatMap((curve) => curve.points);
  const most = Math.max(...points.map(({ y }) => y), Number.MIN_VALUE);
  const largest = Math.max(10, ...points.map(({ x }) => x));
  const least = Math.min(largest / 10, ...points.map(({ x }) => x));
  const bottom = top + PLOT_HEIGHT;
  const placeX = (x: number): number => left + (width * Math.log(x / least)) / Math.log(largest / least);
  const placeY = (y: number): number => bottom - (PLOT_HEIGHT * y) / most;
  const sizes = new Set(points.map(({ x }) => x));
  return [
    textAt(left, top - PLOT + NAMES - TITLE, 'note', measure),
    ...namesOf(curves, left + width, top - PLOT + NAMES - TITLE),
    `<path class="axis" fill="none" d="M${left.toFixed(1)} ${top}V${bottom}H${(left + width).toFixed(1)}"/>`,
    textAt(left - 6, top + 4, 'tick', legible(most), 'end'),
    textAt(left - 6, bottom, 'tick', '0', 'end'),
    ...Array.from(sizes, (x) => textAt(placeX(x), bottom + TICKS, 'tick', shortened(x), 'middle')),
    textAt(left + width / 2, bottom + UNIT, 'tick', unit, 'middle'),
    ...curves.map(({ points: line }, index) => {
      const places = line.map(({ x, y }) => `${placeX(x).toFixed(1)} ${placeY(y).toFixed(1)}`);
      return `<path class="curve curve${index}" style="fill:none" d="M${places.join('L')}"/>`;
    }),
  ].join('\n');
}

/** The names of curves in their colours, where there are several. */
function namesOf(curves: readonly Curve[], right: number, y: number): string[] {
  if (curves.length < 2) return [];
  const names = curves.map(
    ({ name }, index) => `<tspan class="curve${index}" stroke="none" dx="6">${escaped(name)}</tspan>`,
  );
  return [`<text class="tick" x="${right.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="end">${names.join('')}</text>`];
}

function shortened(size: number): string {
  if (size >= 1_000_000) return `${size / 1_000_000}M`;
  return size >= 1000 ? `${size / 1000}k` : String(size);
}
