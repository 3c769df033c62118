import type { RedisServer } from '../support/redis.ts';
import { type Rounds, roundsOf, run, runInRounds } from './run.ts';
import type { Section } from './section.ts';
import { median, ratios, table } from './table.ts';

/** What the default is compared with. */
const FIXED = [16, 64, 256, 1024, 4096];
const DEFAULT = 'default';

/** What a consumer that does nothing shall reach with default options, of what it reaches with the best fixed highWaterMark. */
const AIM = 0.9;

/** What is printed by `prefetch-worker.ts`: thousand items a second in each of these ways. */
export interface PrefetchFigures {
  readonly rates: readonly number[];
}

export const WAYS = ["PullStream, on('data')", 'PullStream, for await', 'DeliveryStream → AckStream'];

/** Drains a queue with consumers that do nothing, with several values of highWaterMark and without one, and gives the table of it. */
export async function measurePrefetch(server: RedisServer, rounds: Rounds, count: number): Promise<Section> {
  const names = [DEFAULT, ...FIXED.map(String)];
  const measured = await runInRounds('prefetch', rounds, names, async (name) => {
    await server.client().flushall();
    return run<PrefetchFigures>('prefetch-worker.ts', [server.url, name === DEFAULT ? 0 : name, count]);
  });
  const ratesOf = (at: number, way: number): number[] => (measured[at] ?? []).map(({ rates }) => rates[way] ?? 0);
  const rows = names.map((name, at) => [name, ...WAYS.map((_, way) => median(ratesOf(at, way)).toFixed(0))]);
  const aims = WAYS.map((way, index) => {
    const fixed = FIXED.map((_, at) => median(ratios(ratesOf(0, index), ratesOf(at + 1, index))));
    const reached = Math.min(...fixed);
    return `${way} ${reached >= AIM ? 'reaches' : 'misses'} it (${reached.toFixed(2)})`;
  });
  const text = `${table(['highWaterMark', ...WAYS.map((way) => `${way}: thousand/s`)], rows)}\n\n`;
  return {
    text: `${text}Aim of the default to the best of the others, ${AIM} or more: ${aims.join(', ')}.`,
    rounds: roundsOf(measured),
  };
}
