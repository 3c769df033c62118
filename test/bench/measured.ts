import { brokerOf, canRun, rivalOf } from './all-peers.ts';
import { barFor } from './bars.ts';
import { argumentsFor, type Brokers } from './brokers.ts';
import type { Move } from './case.ts';
import type { Bar } from './chart.ts';
import type { Figures } from './meter.ts';
import { type Rounds, roundsOf, runInRounds } from './run.ts';
import type { Section } from './section.ts';
import { digitsOf, median, microseconds, ratio, ratios, spread, table } from './table.ts';
import { WarmProcess } from './warm-process.ts';
import { WarmProcesses } from './warm-processes.ts';

/** How much is measured. */
export interface Extent extends Brokers {
  readonly rounds: Rounds;
  /** How many jobs a case moves in a round. */
  readonly count: number;
  /** How many it moves before the first. */
  readonly warmUp: number;
  /** About how many bytes a job has, if not as many as usual. */
  readonly bytes?: number;
  /** How many jobs another moves where ours move one, if not as many as it usually does. */
  readonly share?: number;
}

/** What others are compared with, and how the column is headed that says so. */
export interface Base {
  readonly name: string;
  readonly title: string;
}

/** What has been measured: for each case that was run, thousand items a second and what each run took, by round. */
export type Measured = Map<string, { readonly rates: readonly number[]; readonly runs: readonly Figures[] }>;

export const TO_BULLMQ = 'to BullMQ';

export type Processes = WarmProcesses<Move, Figures>;

/** Starts the processes of those of these cases that can be run, which do what they are told in this script. */
export function startProcesses(script: string, extent: Extent, names: readonly string[]): Promise<Processes> {
  const able = names.filter((name) => canRun(name, extent));
  return WarmProcesses.start(able, (name) => WarmProcess.start(script, argumentsFor(name, brokerOf(name, extent))));
}

/** Runs each case that can be run, by its name and how many jobs it is to move: once to warm it up, then once a round. */
export async function measure(
  group: string,
  extent: Extent,
  names: readonly string[],
  measureOne: (name: string, count: number) => Promise<Figures>,
): Promise<Measured> {
  const { rounds, count, warmUp } = extent;
  const able = names.filter((name) => canRun(name, extent));
  const run = (jobs: number) => (name: string) => measureOne(name, partFor(name, extent, jobs));
  const figures = await runInRounds(group, rounds, able, run(count), run(warmUp));
  const entries = able.map((name, index) => {
    const runs = figures[index] ?? [];
    return [name, { runs, rates: runs.map(({ seconds }) => partFor(name, extent, count) / seconds / 1000) }] as const;
  });
  return new Map(entries);
}

/** How many jobs a case moves of so many. */
function partFor(name: string, extent: Extent, jobs: number): number {
  return Math.ceil(jobs * shareOf(name, extent));
}

function shareOf(name: string, { share }: Extent): number {
  const rival = rivalOf(name);
  return rival ? (share ?? rival.share) : 1;
}

/** The table of these cases, beside what they are compared with. */
export function sectionOf(
  extent: Extent,
  names: readonly string[],
  measured: Measured,
  bases: readonly Base[],
): Section {
  const titles = bases.map(({ title }) => title);
  const rows = names.map((name) => {
    const { rates, runs } = measured.get(name) ?? { rates: [], runs: [] };
    if (runs.length === 0) return [name, 'not installed'];
    const middle = median(rates);
    const eachOf = (seconds: number | undefined): number | undefined =>
      seconds && (seconds * 1e6) / partFor(name, extent, extent.count);
    return [
      name,
      middle.toFixed(digitsOf(middle)),
      spread(rates, digitsOf(middle)),
      ...bases.map((base) => ratio(rates, measured.get(base.name)?.rates)),
      microseconds(runs.map(({ cpu }) => eachOf(cpu))),
      microseconds(runs.map(({ serverCpu }) => eachOf(serverCpu))),
      Math.max(...runs.map(({ rss }) => rss)).toFixed(0),
    ];
  });
  const head = ['case', 'thousand items/s', 'min–max', ...titles, 'CPU µs/item', "server's µs/item", 'peak RSS MB'];
  const text = [table(head, rows), ...sharesOf(names, extent)].join('\n\n');
  return { text, rounds: roundsOf([...measured.values()].map(({ runs }) => runs)), bars: barsOf(measured, bases) };
}

/** Says who moves fewer jobs than the table has it; nothing where nobody does. */
function sharesOf(names: readonly string[], extent: Extent): string[] {
  const fewer = names.flatMap((name) => {
    const share = shareOf(name, extent);
    return share < 1 ? [`${name.split(' ')[0]} 1/${Math.round(1 / share)}`] : [];
  });
  return fewer.length > 0 ? [`Of so many jobs, the slower ones move a part in a run: ${fewer.join(', ')}.`] : [];
}

/** The cases that were run, as many times as fast as BullMQ as they are; nothing where that was not. */
function barsOf(measured: Measured, bases: readonly Base[]): Bar[] | undefined {
  const base = measured.get(bases.find(({ title }) => title === TO_BULLMQ)?.name ?? '')?.rates;
  return base && Array.from(measured, ([name, { rates }]) => barFor(name, median(ratios(rates, base))));
}

/** Says which cases are at least so many times as fast as another. */
export function aimOf(measured: Measured, names: readonly string[], { name, title }: Base, aim: number): string {
  const base = measured.get(name)?.rates;
  if (!base) return `Aim ${title}, ${aim}: not measured.`;
  const reached = names.map((one) => {
    const found = median(ratios(measured.get(one)?.rates ?? [], base));
    return `${one} ${found >= aim ? 'reaches' : 'misses'} it (${found.toFixed(2)})`;
  });
  return `Aim ${title}, ${aim} or more: ${reached.join(', ')}.`;
}
