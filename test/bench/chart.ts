import { HEADING, legible, MARGIN, pageOf, textAt, WIDTH } from './svg.ts';

/** One bar: how many times as fast a case is as what all are compared with. */
export interface Bar {
  readonly name: string;
  readonly ratio: number;
  /** Whose case it is, which is its colour. */
  readonly owner: Owner;
}

export type Owner = 'millrace' | 'raw' | 'peer';

/** The bars of one table. */
export interface BarGroup {
  readonly title: string;
  readonly bars: readonly Bar[];
}

/** In pixels. */
const ROW = 22;
const BAR = 14;
const LABELS = 540;
const VALUES = 60;
/** Where a bar begins, and how long the longest is. */
const START = MARGIN + LABELS;
const LONGEST = WIDTH - START - VALUES - MARGIN;
/** Over a group's title, and under it. */
const GROUP_TITLE = 30;

/** A chart of horizontal bars on one scale, as the text of an SVG file; dark where the reader's screen is. */
export function barChart(title: string, note: string, groups: readonly BarGroup[]): string {
  const most = Math.max(1, ...groups.flatMap(({ bars }) => bars.map(({ ratio }) => ratio)));
  const scale = LONGEST / most;
  const body: string[] = [];
  let y = HEADING;
  for (const group of groups) {
    const bottom = y + GROUP_TITLE + group.bars.length * ROW;
    body.push(groupOf(group, y, scale));
    y = bottom;
  }
  return pageOf(title, note, y + MARGIN, body);
}

function groupOf({ title, bars }: BarGroup, top: number, scale: number): string {
  const first = top + GROUP_TITLE;
  const one = (START + scale).toFixed(1);
  return [
    textAt(MARGIN, first - 8, 'group', title),
    ...bars.map((bar, index) => barOf(bar, first + index * ROW, scale)),
    `<line class="one" x1="${one}" x2="${one}" y1="${first}" y2="${first + bars.length * ROW}"/>`,
  ].join('\n');
}

function barOf({ name, ratio, owner }: Bar, top: number, scale: number): string {
  const baseline = top + ROW - 7;
  // One that is hardly there shall still be seen.
  const length = Math.max(1, ratio * scale);
  const shape = `x="${START}" y="${top + (ROW - BAR) / 2}" width="${length.toFixed(1)}" height="${BAR}"`;
  return [
    textAt(START - 8, baseline, 'name', name, 'end'),
    `<rect class="bar ${owner}" ${shape} rx="2"/>`,
    textAt(START + Math.max(length, scale) + 8, baseline, 'value', legible(ratio)),
  ].join('\n');
}
