/** What the charts have in common, as parts of the text of an SVG file. */

/** In pixels: of all charts. */
export const WIDTH = 1070;
export const MARGIN = 20;
/** How far the first thing under the title and the note is from the top. */
export const HEADING = 64;

const STYLE = `
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-size: 17px; font-weight: 600; }
.group { font-weight: 600; }
.note { fill: #59636e; }
.paper { fill: #ffffff; }
.one { stroke: #59636e; stroke-dasharray: 3 3; }
.axis { stroke: #59636e; }
.tick { font-size: 11px; fill: #59636e; }
.curve { fill: none; stroke-width: 2; }
.curve0 { stroke: #2a6fd0; fill: #2a6fd0; }
.curve1 { stroke: #bc5a1c; fill: #bc5a1c; }
.curve2 { stroke: #848d97; fill: #848d97; }
.millrace { fill: #2a6fd0; }
.raw { fill: #848d97; }
.peer { fill: #bc5a1c; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.note, .tick { fill: #9198a1; }
.paper { fill: #0d1117; }
.one, .axis { stroke: #9198a1; }
.curve0 { stroke: #4c8fe8; fill: #4c8fe8; }
.curve1 { stroke: #d9773f; fill: #d9773f; }
.curve2 { stroke: #768390; fill: #768390; }
.millrace { fill: #4c8fe8; }
.raw { fill: #768390; }
.peer { fill: #d9773f; }
}`;

/** A whole file: a title, a note under it, and what is drawn below that; dark where the reader's screen is. */
export function pageOf(title: string, note: string, height: number, body: readonly string[]): string {
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

export function textAt(x: number, y: number, kind: string, text: string, anchor = 'start'): string {
  return `<text class="${kind}" x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${escaped(text)}</text>`;
}

/** Two digits that say something, at least. */
export function legible(number: number): string {
  if (number >= 10) return number.toFixed(0);
  return number.toFixed(number >= 1 ? 1 : 2);
}

/** A text as it stands in an SVG file. */
export function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
