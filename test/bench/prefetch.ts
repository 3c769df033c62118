import type { RedisServer } from '../support/redis.ts';
import { type Rounds, roundsOf, runInRounds } from './run.ts';
import type { Section } from './section.ts';
import { median, ratios, table } from './table.ts';
import { WarmProcess } from './warm-process.ts';
import { WarmProcesses } from './warm-processes.ts';

/** What the default is compared with. */
const FIXED = [16, 64, 256, 1024, 4096];
export const DEFAULT = 'default';

/** What a consumer that does nothing shall reach with default options, of what it reaches with the best fixed highWaterMark. */
const AIM = 0.9;

/** How many jobs are taken, at most, for each that may be held: with few held they are slow. */
const JOBS = 500;

/** What part of them is taken before the first round, to warm up. */
const WARM = 0.5;

/** How many jobs a process of `prefetch-worker.ts` is to take in each of these ways; it gives how many thousand it took in a second. */
export interface PrefetchTask {
  readonly count: number;
}
export type PrefetchRates = readonly number[];

export const WAYS = ["PullStream, on('data')", 'PullStream, for await', 'DeliveryStream → AckStream'];

/** Drains a queue with consumers that do nothing, with several values of highWaterMark and without one, and gives the table of it. */
export async function measurePrefetch(server: RedisServer, rounds: Rounds, count: number): Promise<Section> {
  const names = [DEFAULT, ...FIXED.map(String)];
  await using processes = await WarmProcesses.start(names, (name) =>
    WarmProcess.start<PrefetchTask, PrefetchRates>('prefetch-worker.ts', [name, server.url]),
  );
  const drain = (part: number) => (name: string) => {
    const most = name === DEFAULT ? count : Math.min(count, JOBS * Number(name));
    return processes.ask(name, { count: Math.ceil(most * part) });
  };
  const measured = await runInRounds('prefetch', rounds, names, drain(1), drain(WARM));
  const ratesOf = (at: number, way: number): number[] => (measured[at] ?? []).map((rates) => rates[way] ?? 0);
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
