import { type Brokers, canRun, peerOf, urlFor } from './all-peers.ts';
import { barFor } from './bars.ts';
import { bullMq } from './bullmq.ts';
import type { Case } from './case.ts';
import type { Bar } from './chart.ts';
import * as draining from './deliveries.ts';
import * as hopping from './hops.ts';
import * as pulling from './pulls.ts';
import * as pushing from './pushes.ts';
import { type Rounds, roundsOf, run, runInRounds } from './run.ts';
import type { Section } from './section.ts';
import { median, ratio, ratios, spread, table } from './table.ts';

/** What a run took: seconds, seconds of CPU, and MB of memory at its peak. */
export interface Figures {
  readonly seconds: number;
  readonly cpu: number;
  readonly rss: number;
}

/** How much is measured. */
export interface Extent extends Brokers {
  readonly rounds: Rounds;
  /** How many jobs one run of a case moves, once it is warm. */
  readonly count: number;
  /** How many it moves before that. */
  readonly warmUp: number;
}

/** What others are compared with, and how the column is headed that says so. */
interface Base {
  readonly name: string;
  readonly title: string;
}

/** What has been measured: for each case that was run, thousand items a second and what each run took, by round. */
type Measured = Map<string, { readonly rates: readonly number[]; readonly runs: readonly Figures[] }>;

const TO_BULLMQ = 'to BullMQ';

const QUEUE = 'bench';
const WARM_QUEUE = `${QUEUE}-warm`;
const SOURCE = 'source';

/** Pushes jobs in every way, and gives the table of it. */
export async function measurePushes(extent: Extent): Promise<Section> {
  const redis = extent.server.client();
  const measured = await measure('push', extent, pushing.pushes, async (name, count) => {
    await redis.flushall();
    const figures = await runCase(extent, name, QUEUE);
    const stored = (await peerOf(name)?.waiting(redis, QUEUE, urlFor(name, extent))) ?? (await redis.llen(QUEUE));
    if (stored !== count) throw new Error(`${name} stored ${stored} jobs of ${count}`);
    return figures;
  });
  const bases = [
    { name: pushing.RAW, title: 'to raw' },
    { name: pushing.RAW_ONCE, title: 'to numbered' },
    { name: bullMq.push.name, title: TO_BULLMQ },
  ];
  return sectionOf(pushing.pushes, measured, bases);
}

/** Pulls jobs in every way, and gives the table of it. */
export async function measurePulls(extent: Extent): Promise<Section> {
  await fillSource(extent);
  const measured = await measure('pull', extent, pulling.pulls, async (name) => {
    await fillFor(extent, name);
    const figures = await runCase(extent, name, QUEUE);
    await checkNothingLeft(extent, name);
    return figures;
  });
  const bases = [
    { name: pulling.RAW, title: 'to raw' },
    { name: bullMq.drain.name, title: TO_BULLMQ },
  ];
  return sectionOf(pulling.pulls, measured, bases);
}

/** Has handlers work through a full queue in every way, and gives the table of it, and what was reached of what is aimed at. */
export async function measureDeliveries(extent: Extent): Promise<Section> {
  const redis = extent.server.client();
  await fillSource(extent);
  const measured = await measure('deliveries', extent, draining.deliveries, async (name, count) => {
    await fillFor(extent, name);
    await redis.del(`{${QUEUE}}:marks`);
    const figures = await runCase(extent, name, QUEUE);
    await checkNothingLeft(extent, name);
    const settled = Number(await redis.hget(`{${QUEUE}}:marks`, 'settled'));
    if (!peerOf(name) && settled !== count) throw new Error(`${name} settled ${settled} jobs of ${count}`);
    return figures;
  });
  const toRaw = { name: draining.RAW, title: 'to raw' };
  const toPeer = { name: bullMq.drain.name, title: TO_BULLMQ };
  const ours = Object.keys(draining.deliveries).filter((name) => name !== toRaw.name && !peerOf(name));
  const aims = [aimOf(measured, ours, toRaw, 0.85), aimOf(measured, ours, toPeer, 15)];
  const section = sectionOf(draining.deliveries, measured, [toRaw, toPeer]);
  return { ...section, text: `${section.text}\n\n${aims.join('\n')}` };
}

/** Moves jobs from one queue to another in every way, a handler between them, and gives the table of it. */
export async function measureHops(extent: Extent): Promise<Section> {
  const redis = extent.server.client();
  const results = hopping.resultsOf(QUEUE);
  await fillSource(extent);
  const measured = await measure('hops', extent, hopping.hops, async (name, count) => {
    await redis.del(results, hopping.resultsOf(WARM_QUEUE));
    await copySource(extent);
    const figures = await runCase(extent, name, QUEUE);
    await checkNothingLeft(extent, name);
    const stored = await redis.llen(results);
    if (stored !== count) throw new Error(`${name} stored ${stored} results of ${count}`);
    return figures;
  });
  return sectionOf(hopping.hops, measured, [{ name: hopping.RAW, title: 'to raw' }]);
}

function sizeFor(name: string, count: number): number {
  return Math.ceil(count * (peerOf(name)?.share ?? 1));
}

function runCase(extent: Extent, name: string, queue: string): Promise<Figures> {
  const sizes = [sizeFor(name, extent.count), sizeFor(name, extent.warmUp)];
  return run<Figures>('worker.ts', [name, urlFor(name, extent), queue, ...sizes]);
}

async function measure(
  group: string,
  extent: Extent,
  cases: Record<string, Case>,
  measureOne: (name: string, count: number) => Promise<Figures>,
): Promise<Measured> {
  const { rounds, count } = extent;
  const names = Object.keys(cases).filter((name) => canRun(name, extent));
  const figures = await runInRounds(group, rounds, names, (name) => measureOne(name, sizeFor(name, count)));
  const entries = names.map((name, index) => {
    const runs = figures[index] ?? [];
    return [name, { runs, rates: runs.map(({ seconds }) => sizeFor(name, count) / seconds / 1000) }] as const;
  });
  return new Map(entries);
}

/** Stores jobs, those to warm up with and those to be measured with, which every run gets a copy of. */
async function fillSource(extent: Extent): Promise<void> {
  await extent.server.client().flushall();
  await runCase(extent, pushing.RAW, SOURCE);
}

/** Gives a case what it is to work through: a copy of the source, or what a peer has stored in a way of its own. */
async function fillFor(extent: Extent, name: string): Promise<void> {
  const peer = peerOf(name);
  await extent.server.client().unlink(QUEUE, WARM_QUEUE);
  if (peer) await runCase(extent, peer.push.name, QUEUE);
  else await copySource(extent);
}

async function copySource({ server }: Extent): Promise<void> {
  const redis = server.client();
  await redis.copy(SOURCE, QUEUE, 'REPLACE');
  await redis.copy(`${SOURCE}-warm`, WARM_QUEUE, 'REPLACE');
}

async function checkNothingLeft(extent: Extent, name: string): Promise<void> {
  const redis = extent.server.client();
  const peer = peerOf(name);
  const url = urlFor(name, extent);
  const left = peer
    ? (await peer.waiting(redis, QUEUE, url)) + (await peer.waiting(redis, WARM_QUEUE, url))
    : await redis.exists(QUEUE, WARM_QUEUE, `{${QUEUE}}:again`);
  if (left > 0) throw new Error(`${name} left jobs behind`);
}

function sectionOf(cases: Record<string, Case>, measured: Measured, bases: readonly Base[]): Section {
  const titles = bases.map(({ title }) => title);
  const rows = Object.keys(cases).map((name) => {
    const { rates, runs } = measured.get(name) ?? { rates: [], runs: [] };
    if (runs.length === 0) return [name, 'not installed'];
    const cpu = runs.map((taken, round) => (taken.cpu * 1000) / (taken.seconds * (rates[round] ?? 0)));
    return [
      name,
      median(rates).toFixed(0),
      spread(rates),
      ...bases.map((base) => ratio(rates, measured.get(base.name)?.rates)),
      median(cpu).toFixed(2),
      Math.max(...runs.map(({ rss }) => rss)).toFixed(0),
    ];
  });
  const head = ['case', 'thousand items/s', 'min–max', ...titles, 'CPU µs/item', 'peak RSS MB'];
  const text = [table(head, rows), ...sharesOf(Object.keys(cases))].join('\n\n');
  return { text, rounds: roundsOf([...measured.values()].map(({ runs }) => runs)), bars: barsOf(measured, bases) };
}

/** Says who moves fewer jobs than the table has it; nothing where nobody does. */
function sharesOf(names: readonly string[]): string[] {
  const fewer = names.flatMap((name) => {
    const share = peerOf(name)?.share ?? 1;
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
function aimOf(measured: Measured, names: readonly string[], { name, title }: Base, aim: number): string {
  const base = measured.get(name)?.rates;
  if (!base) return `Aim ${title}, ${aim}: not measured.`;
  const reached = names.map((one) => {
    const found = median(ratios(measured.get(one)?.rates ?? [], base));
    return `${one} ${found >= aim ? 'reaches' : 'misses'} it (${found.toFixed(2)})`;
  });
  return `Aim ${title}, ${aim} or more: ${reached.join(', ')}.`;
}
