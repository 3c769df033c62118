import { writeFile } from 'node:fs/promises';
import { type Brokers, startBrokers } from './brokers.ts';
import { CONCURRENCY } from './case.ts';
import { type BarGroup, barChart } from './chart.ts';
import { measureFlows } from './flow.ts';
import { GEARMAN_JOBS, measureGearman } from './gearman.ts';
import { measureDeliveryLatency, measureLatency } from './latency.ts';
import { describeMachine } from './machine.ts';
import type { Extent } from './measured.ts';
import { measureMemory } from './memory.ts';
import { installPeers } from './peers.ts';
import { Report } from './report.ts';
import { measureRequests } from './requests.ts';
import { partOf, type Rounds } from './run.ts';
import type { Section } from './section.ts';
import type { Settings, Table } from './settings.ts';
import { measureSizes } from './sizes.ts';
import { measureDeliveries, measureHops, measurePulls, measurePushes } from './throughput.ts';

const CHART_TITLE = 'How many times as fast as BullMQ';
const CHART_NOTE = 'Longer is faster; the dashed line is BullMQ. Of latency: how many times as short its median is.';

/** One table: what is over it, which share of the time it may take beside the others, and how it is made. */
interface Part {
  readonly table: Table;
  readonly title: string;
  readonly share: number;
  measure(rounds: Rounds): Promise<Section>;
}

/** Measures all there is to measure, and prints a table as soon as it is there. */
export async function measureAll(settings: Settings): Promise<void> {
  const { quick, sizes, tables, markdown, svg } = settings;
  await installPeers();
  await using brokers = await startBrokers();
  const report = new Report(markdown, quick);
  await report.print('Machine', await describeMachine(brokers.server));
  const groups: BarGroup[] = [];
  // Its clock has gone since the process has started, so that what it takes to start servers is part of it.
  const rounds = { count: sizes.rounds, end: sizes.seconds * 1000 };
  const parts = partsOf(settings, brokers).filter(({ table }) => tables.includes(table));
  for (const [index, { title, share, measure }] of parts.entries()) {
    const shares = parts.slice(index).reduce((sum, part) => sum + part.share, 0);
    const section = await measure(partOf(rounds, shares / share));
    const whole = await report.printSection(title, section);
    if (section.bars) groups.push({ title: whole, bars: section.bars });
    if (svg !== undefined) await writeFile(svg, barChart(CHART_TITLE, CHART_NOTE, groups));
  }
}

function partsOf({ quick, sizes }: Settings, brokers: Brokers): Part[] {
  const { count, warmUp, memoryCount, latencyCount } = sizes;
  const many = (rounds: Rounds): Extent => ({ ...brokers, rounds, count, warmUp });
  const fewerCount = Math.ceil(count / 2);
  const fewer = (rounds: Rounds): Extent => ({ ...many(rounds), count: fewerCount, warmUp: Math.ceil(warmUp / 2) });
  const latency = (rounds: Rounds) => ({ ...brokers, rounds, sizes });
  const thousands = (number: number): string => number.toLocaleString('en');
  const jobs = (number: number): string => `${thousands(number)} jobs of about 120 bytes`;
  const handled = `${jobs(fewerCount)}, ${CONCURRENCY} asynchronous handlers at a time`;
  const singly = `${thousands(latencyCount)} jobs one at a time`;
  const gearman = `Gearman: ${thousands(GEARMAN_JOBS)} jobs pushed, then worked off`;
  return [
    { table: 'push', title: `Push: ${jobs(count)}`, share: 0.1, measure: (rounds) => measurePushes(many(rounds)) },
    { table: 'pull', title: `Pull: ${jobs(count)}`, share: 0.07, measure: (rounds) => measurePulls(many(rounds)) },
    {
      table: 'deliveries',
      title: `Deliveries: ${handled}`,
      share: 0.1,
      measure: (rounds) => measureDeliveries(fewer(rounds)),
    },
    {
      table: 'end-to-end',
      title: `End to end: ${jobs(fewerCount)}, pushed and worked off at the same time`,
      share: 0.12,
      measure: (rounds) => measureFlows(fewer(rounds)),
    },
    { table: 'hops', title: `Hops: ${handled}`, share: 0.03, measure: (rounds) => measureHops(fewer(rounds)) },
    {
      table: 'latency',
      title: `Latency: ${singly}`,
      share: 0.1,
      measure: (rounds) => measureLatency(latency(rounds)),
    },
    {
      table: 'delivery-latency',
      title: `Latency of deliveries: ${singly}`,
      share: 0.03,
      measure: (rounds) => measureDeliveryLatency(latency(rounds)),
    },
    {
      table: 'requests',
      title: 'Requests: jobs of about 120 bytes',
      share: 0.23,
      measure: (rounds) => measureRequests(brokers, rounds, sizes),
    },
    ...(quick ? [] : [sizesPart(many)]),
    { table: 'gearman', title: gearman, share: 0.01, measure: measureGearman },
    {
      table: 'memory',
      title: `Memory: ${thousands(memoryCount)} jobs, both at once`,
      share: 0.04,
      measure: () => measureMemory(brokers.server, memoryCount),
    },
  ];
}

function sizesPart(extentOf: (rounds: Rounds) => Extent): Part {
  return {
    table: 'sizes',
    title: 'Other sizes',
    share: 0.19,
    measure: (rounds) => measureSizes(extentOf(rounds)),
  };
}
