/**
 * Runs the tests of this folder in full, again and again, each time with another seed: for `SOAK_HOURS`, or until it is stopped. Says how
 * each round went; ends with what a test said that failed.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { random } from '../support/random.ts';

const HOUR = 3_600_000;

const root = fileURLToPath(new URL('../..', import.meta.url));
const mocha = ['node_modules/mocha/bin/mocha.js', '--no-config', '-n', 'import=tsx', '-r', 'test/support/hooks.ts'];
const files = readdirSync(import.meta.dirname).filter((file) => file.endsWith('.test.ts'));
const command = [...mocha, '--timeout', '0', ...files.map((file) => `test/chaos/${file}`)];

/** Runs all once; gives what was said, and whether all went well. */
async function run(seed: number): Promise<[passed: boolean, said: string]> {
  const env = { ...process.env, MILLRACE_SOAK: '1', MILLRACE_SEED: String(seed) };
  const child = spawn(process.execPath, command, { cwd: root, env, stdio: ['ignore', 'pipe', 'inherit'] });
  const [said, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  return [code === 0, said];
}

const end = performance.now() + Number(process.env['SOAK_HOURS'] ?? Number.POSITIVE_INFINITY) * HOUR;
const dice = random();
for (let round = 1; performance.now() < end; round += 1) {
  const seed = Math.floor(dice() * 1_000_000);
  const start = performance.now();
  const [passed, said] = await run(seed);
  const seconds = Math.round((performance.now() - start) / 1000);
  console.log(`round ${round}, seed ${seed}: ${passed ? 'passed' : 'FAILED'} in ${seconds} s`);
  if (!passed) {
    console.log(said);
    process.exitCode = 1;
    break;
  }
}
