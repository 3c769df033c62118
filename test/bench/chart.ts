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
const WIDTH = 1070;
const MARGIN = 20;
const ROW = 22;
const BAR = 14;
const LABELS = 540;
const VALUES = 60;
/** Where a bar begins, and how long the longest is. */
const START = MARGIN + LABELS;
const LONGEST = WIDTH - START - VALUES - MARGIN;
/** From one baseline to the next: the title to the note, the note to the first group; and over a group's title. */
const HEADING = 64;
const GROUP_TITLE = 30;

const STYLE = `
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-size: 17px; font-weight: 600; }
.group { font-weight: 600; }
.note { fill: #59636e; }
.paper { fill: #ffffff; }
.one { stroke: #59636e; stroke-dasharray: 3 3; }
.millrace { fill: #2a6fd0; }
.raw { fill: #848d97; }
.peer { fill: #bc5a1c; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.note { fill: #9198a1; }
.paper { fill: #0d1117; }
.one { stroke: #9198a1; }
.millrace { fill: #4c8fe8; }
.raw { fill: #768390; }
.peer { fill: #d9773f; }
}`;

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
  const height = y + MARGIN;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<style>${STYLE}\n</style>`,
    `<rect class="paper" width="${WIDTH}" height="${height}"/>`,
    textAt(MARGIN, 30, 'title', title),
    textAt(MARGIN, 52, 'note', note),
    ...body,
    '</svg>\n',
  ].join('\n');
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

/** Two digits that say something, at least. */
function legible(ratio: number): string {
  if (ratio >= 10) return ratio.toFixed(0);
  return ratio.toFixed(ratio >= 1 ? 1 : 2);
}

function textAt(x: number, y: number, kind: string, text: string, anchor = 'start'): string {
  return `<text class="${kind}" x="${x.toFixed(1)}" y="${y}" text-anchor="${anchor}">${escaped(text)}</text>`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
