import { relative } from 'node:path';
import { count, more, printable, size } from './format.ts';
import type { HashedFile, Result, UnreadableFile } from './hash.ts';
import type { PassedBy } from './walk.ts';

/** How many groups are listed, and how many files of each. */
const GROUPS = 10;
const FILES = 5;

/** Files with the same content. */
interface Group {
  files: HashedFile[];
  /** The bytes that would be free if only one of them were kept. */
  waste: number;
}

/** The text of the report: the duplicate files, those that waste most first, and what was passed by. */
export function report(folder: string, results: Iterable<Result>, passedBy: PassedBy): string {
  const hashed: HashedFile[] = [];
  const unreadable: UnreadableFile[] = [];
  for (const result of results) {
    if ('error' in result) unreadable.push(result);
    else hashed.push(result);
  }
  const groups = duplicates(hashed);
  const copies = sum(groups, ({ files }) => files.length - 1);
  const waste = sum(groups, (group) => group.waste);
  return [
    ...groups.slice(0, GROUPS).flatMap((group) => [...describe(group, folder), '']),
    ...more(groups.length - GROUPS, 'group'),
    ...skipped(unreadable, passedBy),
    `${count(hashed.length, 'file')} of ${size(sum(hashed, ({ bytes }) => bytes))} in all in ${printable(folder)}`,
    `${count(copies, 'duplicate')} in ${count(groups.length, 'group')}, wasting ${size(waste)} in all`,
  ].join('\n');
}

/** The groups of two or more. Hard links to one file share its bytes and count as one file. */
function duplicates(hashed: HashedFile[]): Group[] {
  const byContent = new Map<string, Map<string, HashedFile>>();
  for (const file of hashed) {
    const same = byContent.get(file.sha256) ?? new Map();
    byContent.set(file.sha256, same.set(file.inode, file));
  }
  const groups: Group[] = [];
  for (const same of byContent.values()) {
    const [first, ...others] = same.values();
    if (first && others.length > 0) groups.push({ files: [first, ...others], waste: first.bytes * others.length });
  }
  return groups.sort((a, b) => b.waste - a.waste);
}

function describe({ files, waste }: Group, folder: string): string[] {
  const paths = files.map(({ path }) => printable(relative(folder, path))).sort();
  return [
    `${size(waste)} wasted by ${files.length} files of ${size(waste / (files.length - 1))}:`,
    ...[...paths.slice(0, FILES), ...more(paths.length - FILES, 'file')].map((line) => `  ${line}`),
  ];
}

function skipped(unreadable: UnreadableFile[], passedBy: PassedBy): string[] {
  const vanished = unreadable.filter(({ error }) => error === 'ENOENT').length;
  const counts: [number, string][] = [
    [passedBy.links, 'symbolic link'],
    [passedBy.others, 'special file'],
    [passedBy.folders, 'unreadable folder'],
    [unreadable.length - vanished, 'unreadable file'],
    [vanished, 'vanished file'],
  ];
  const texts = counts.filter(([number]) => number > 0).map(([number, what]) => count(number, what));
  return texts.length > 0 ? [`Skipped: ${texts.join(', ')}`] : [];
}

function sum<Item>(items: Item[], number: (item: Item) => number): number {
  return items.reduce((total, item) => total + number(item), 0);
}
