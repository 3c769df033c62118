/** A Markdown table that is legible as it stands: first column to the left, numbers to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((cell, column) => Math.max(cell.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const pad = (cell: string, column: number): string =>
    column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0);
  const line = (cells: readonly string[]): string =>
    `| ${head.map((_, column) => pad(cells[column] ?? '', column)).join(' | ')} |`;
  const rule = widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}

export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? 0) + (sorted[Math.floor(middle)] ?? 0)) / 2;
}

/** How many digits behind the point say something of a number of that size. */
export function digitsOf(number: number): number {
  return number < 100 ? 1 : 0;
}

/** The least and the greatest. */
export function spread(numbers: readonly number[], digits = 0): string {
  return `${Math.min(...numbers).toFixed(digits)}–${Math.max(...numbers).toFixed(digits)}`;
}

/** The ratios of what was measured side by side. */
export function ratios(numbers: readonly number[], base: readonly number[]): number[] {
  return numbers.map((number, round) => number / (base[round] ?? 0));
}

/** The median of the {@link ratios}; a dash where the other was not measured. */
export function ratio(numbers: readonly number[], base: readonly number[] | undefined): string {
  return base ? median(ratios(numbers, base)).toFixed(2) : '–';
}

/** The median of those that are known, to a hundredth; a dash where none is. */
export function microseconds(numbers: readonly (number | undefined)[]): string {
  const known = numbers.filter((number) => number !== undefined);
  return known.length > 0 ? median(known).toFixed(2) : '–';
}

/** The number that `percent` of them do not exceed. */
export function percentile(numbers: readonly number[], percent: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.ceil((sorted.length * percent) / 100) - 1] ?? 0;
}
