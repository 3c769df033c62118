import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { BYTES_VARIABLE, USUAL_BYTES } from './case.ts';

const execute = promisify(execFile);

/** How long a process may take, in milliseconds: one that has lost a job waits for it for ever. */
const TIME_LIMIT = 120_000;

/** How a script is run. */
interface RunOptions {
  readonly signal?: AbortSignal;
  /** About how many bytes a job has, if not as many as usual. */
  readonly bytes?: number;
}

/** Runs one of this folder's scripts in a process of its own. Gives what it prints, which is JSON. */
export async function run<Figures>(
  script: string,
  args: readonly (string | number)[],
  { signal, bytes = USUAL_BYTES }: RunOptions = {},
): Promise<Figures> {
  // What is plain JavaScript is spared the memory of the loader.
  const loader = script.endsWith('.ts') ? ['--import', 'tsx'] : [];
  const file = fileURLToPath(new URL(script, import.meta.url));
  const env = { ...process.env, [BYTES_VARIABLE]: String(bytes) };
  const options = { timeout: TIME_LIMIT, killSignal: 'SIGKILL', signal, env } as const;
  const { stdout } = await execute(process.execPath, [...loader, file, ...args.map(String)], options);
  return JSON.parse(stdout);
}

/** How often cases are run: at most `count` times, and no more often than `seconds` allow, but once. */
export interface Rounds {
  readonly count: number;
  readonly seconds: number;
}

/** Runs each case once a round, so that what is compared runs side by side. Gives the figures of each case, by round. */
export async function runInRounds<Figures>(
  group: string,
  { count, seconds }: Rounds,
  names: readonly string[],
  runCase: (name: string) => Promise<Figures>,
): Promise<Figures[][]> {
  const figures: Figures[][] = names.map(() => []);
  const start = performance.now();
  for (let round = 1; round <= count; round += 1) {
    process.stderr.write(`${group}: round ${round} of ${count}\n`);
    for (const [index, name] of names.entries()) figures[index]?.push(await runCase(name));
    const taken = (performance.now() - start) / 1000;
    // Another round would take as long as one of those before.
    if (taken + taken / round > seconds) break;
  }
  return figures;
}

/** How many rounds there were. */
export function roundsOf(figures: readonly (readonly unknown[])[]): number {
  return figures[0]?.length ?? 0;
}
