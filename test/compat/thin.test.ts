import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

const root = join(import.meta.dirname, '..', '..');
const folder = join(root, 'lib', 'compat');

/**
 * How many lines of code each facade may have in files that are its own. What those of more than a hundred have to do that no stream does:
 * reqrep waits for many lists with one client; que has drivers, and classes, of the user's; swarm listens for responses, keeps them for
 * those who were cut off, and puts back what nobody handles.
 */
const MOST: Record<string, number> = { pushpull: 30, 'job-queue': 100, reqrep: 140, que: 150, swarm: 175 };

/** How many there may be in the files that several of them share. */
const MOST_SHARED = 140;

/** By file. */
const texts = new Map(readdirSync(folder).map((file) => [file, readFileSync(join(folder, file), 'utf8')]));

/** Lines that are neither empty, nor comments, nor imports. */
function linesOf(file: string): number {
  const code = (texts.get(file) as string)
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/^\s*\/\/.*$/gm, '')
    .replace(/^import\s[^;]*;/gm, '');
  return code.split('\n').filter((line) => line.trim() !== '').length;
}

/** A file, and all of this folder that it needs. */
function reach(file: string, reached: Set<string> = new Set()): Set<string> {
  if (reached.has(file)) return reached;
  reached.add(file);
  for (const [, target] of (texts.get(file) as string).matchAll(/ from '\.\/([^']+)';$/gm)) {
    reach(target as string, reached);
  }
  return reached;
}

const sum = (files: readonly string[]): number => files.reduce((lines, file) => lines + linesOf(file), 0);

describe('the facades', () => {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { exports: object };
  const facades = Object.values(exports)
    .filter((target) => target.includes('/compat/'))
    .map((target) => basename(target, '.js'));
  const needs = new Map(facades.map((facade) => [facade, reach(`${facade}.ts`)]));
  const needed = (file: string): number => facades.filter((facade) => needs.get(facade)?.has(file)).length;

  it('are those that are bounded here, and need all that there is', () => {
    assert.deepEqual(facades.toSorted(), Object.keys(MOST).toSorted());
    for (const file of texts.keys()) assert.ok(needed(file) > 0, `nobody needs ${file}`);
  });

  for (const facade of facades) {
    it(`are thin: ${facade}`, () => {
      const own = [...texts.keys()].filter((file) => needs.get(facade)?.has(file) && needed(file) === 1);
      const lines = sum(own);
      assert.ok(lines > 0 && lines <= (MOST[facade] as number), `${lines} lines in ${own.join(', ')}`);
    });
  }

  it('share little', () => {
    const shared = [...texts.keys()].filter((file) => needed(file) > 1);
    const lines = sum(shared);
    assert.ok(lines > 0 && lines <= MOST_SHARED, `${lines} lines in ${shared.join(', ')}`);
  });
});
