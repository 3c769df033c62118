import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** How long a process may take, in milliseconds: one that has lost a job waits for it for ever. */
export const TIME_LIMIT = 120_000;

/** Runs one of this folder's scripts in a process of its own. Gives what it prints, which is JSON. */
export async function run<Figures>(
  script: string,
  args: readonly (string | number)[],
  signal?: AbortSignal,
): Promise<Figures> {
  // What is plain JavaScript is spared the memory of the loader.
  const loader = script.endsWith('.ts') ? ['--import', 'tsx'] : [];
  const file = fileURLToPath(new URL(script, import.meta.url));
  const options = { timeout: TIME_LIMIT, killSignal: 'SIGKILL', signal } as const;
  const { stdout } = await execute(process.execPath, [...loader, file, ...args.map(String)], options);
  return JSON.parse(stdout);
}

/** How often cases are run: at most `count` times, and no more often than is done by `end`, in milliseconds of `performance.now()`, but once. */
export interface Rounds {
  readonly count: number;
  readonly end: number;
}

/** As many rounds for one of `parts` that share the time which is left: what one does not use is for those behind it. */
export function partOf({ count, end }: Rounds, parts: number): Rounds {
  const now = performance.now();
  return { count, end: now + (end - now) / parts };
}

/**
 * Runs each case once a round, so that what is compared runs side by side, when all are warm. Gives the figures of each case, by round.
 */
export async function runInRounds<Figures>(
  group: string,
  { count, end }: Rounds,
  names: readonly string[],
  runCase: (name: string) => Promise<Figures>,
  warmUp?: (name: string) => Promise<unknown>,
): Promise<Figures[][]> {
  const figures: Figures[][] = names.map(() => []);
  if (warmUp) process.stderr.write(`${group}: warming up\n`);
  for (const name of names) await warmUp?.(name);
  const warm = performance.now();
  for (let round = 1; round <= count; round += 1) {
    process.stderr.write(`${group}: round ${round} of ${count}\n`);
    for (const [index, name] of names.entries()) figures[index]?.push(await runCase(name));
    const now = performance.now();
    // Another round would take as long as one of those before.
    if (now + (now - warm) / round > end) break;
  }
  return figures;
}

/** How many rounds there were. */
export function roundsOf(figures: readonly (readonly unknown[])[]): number {
  return figures[0]?.length ?? 0;
}
