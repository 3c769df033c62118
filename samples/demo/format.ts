const UNITS = ['kB', 'MB', 'GB', 'TB'];

/** `1,234 files`, `1 file`. */
export function count(number: number, what: string): string {
  return `${number.toLocaleString('en')} ${what}${number === 1 ? '' : 's'}`;
}

/** What stands for the rest of a list that was cut short, if there is any. */
export function more(number: number, what: string): string[] {
  return number > 0 ? [`and ${number.toLocaleString('en')} more ${what}${number === 1 ? '' : 's'}`] : [];
}

/** `12.3 MB`. */
export function size(bytes: number): string {
  if (bytes < 1000) return count(bytes, 'byte');
  const unit = Math.min(Math.floor(Math.log10(bytes) / 3), UNITS.length);
  return `${(bytes / 1000 ** unit).toFixed(1)} ${UNITS[unit - 1]}`;
}

/** A path as a terminal may have it: a file's name can hold anything, also what would steer the terminal. */
export function printable(path: string): string {
  return path.replace(/\p{Cc}/gu, '?');
}
