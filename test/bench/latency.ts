import { allPeers, brokerOf, canRun, clearFor } from './all-peers.ts';
import { barFor } from './bars.ts';
import { argumentsFor, type Brokers } from './brokers.ts';
import { bullMq } from './bullmq.ts';
import { type Rounds, roundsOf, runInRounds } from './run.ts';
import type { Section } from './section.ts';
import type { Sizes } from './settings.ts';
import { median, ratio, ratios, spread, table } from './table.ts';
import { WarmProcess } from './warm-process.ts';
import { WarmProcesses } from './warm-processes.ts';

/** How many jobs to send, behind those of so many milliseconds, which do not count. */
export interface LatencyTask {
  readonly milliseconds: number;
  readonly count: number;
}

/** Percentiles of the time from `send()` to the consumer's handler, and to when the job is settled for good; in microseconds. */
export interface Latency {
  readonly p50: number;
  readonly p99: number;
  readonly settled: number;
  /** Of CPU of the client, for each job. */
  readonly cpu: number;
  /** MB of memory of the client, at its peak. */
  readonly rss: number;
}

/** Cases of `latency-worker.ts`, as the tables have them; the first is what others are compared with. */
const values = {
  'raw-numbered': 'raw: the same script → BLMPOP',
  raw: 'raw LPUSH → BLMPOP',
  streams: "send() → on('data')",
  ...Object.fromEntries(Object.values(allPeers).map(({ line }) => [line.name, line.name])),
};
const deliveries = {
  'raw-scripts': 'raw: the same scripts, and BLMOVE',
  'raw-lrem': 'raw LPUSH → BLMOVE, then LREM',
  deliveries: "send() → on('data') → ack()",
};

/** How the last columns are headed: the server's share of it is too little to be told. */
const COSTS = ['CPU µs/job', 'peak RSS MB'];

/** What a case has measured: its first cells and its last, and microseconds by round. */
interface Measured {
  readonly cells: readonly string[];
  readonly costs: readonly string[];
  readonly p50: readonly number[];
  readonly settled: readonly number[];
}

/** For how long those are sent that come first of a round, and do not count, beside those that warm up. */
const LEAD = 0.1;

/** Which one they go through. */
export const QUEUE = 'latency';

/** How often, and how much. */
export interface LatencyExtent extends Brokers {
  readonly rounds: Rounds;
  readonly sizes: Sizes;
}

/** Sends jobs one at a time through an empty queue, and gives the table of how long they took. */
export async function measureLatency(extent: LatencyExtent): Promise<Section> {
  const { measured, rounds } = await measure('latency', values, extent);
  const names = Object.values(values);
  const peer = measured[names.indexOf(bullMq.line.name)]?.p50 ?? [];
  const toPeer = peer.length > 0 ? peer : undefined;
  const rows = measured.map(({ cells, costs, p50 }) => [...cells, p50.length > 0 ? ratio(p50, toPeer) : '', ...costs]);
  const text = table(['case', 'p50 µs', 'min–max', 'to raw', 'p99 µs', 'to BullMQ', ...COSTS], rows);
  // Half the time is twice as fast.
  const bars = measured.flatMap(({ p50 }, index) =>
    toPeer && p50.length > 0 ? [barFor(names[index] ?? '', median(ratios(toPeer, p50)))] : [],
  );
  return { text, rounds, bars: toPeer && bars };
}

/** The same with jobs that are settled, each before the next one is sent. */
export async function measureDeliveryLatency(extent: LatencyExtent): Promise<Section> {
  const { measured, rounds } = await measure('latency of deliveries', deliveries, extent);
  const rows = measured.map(({ cells, costs, settled }) => [
    ...cells,
    median(settled).toFixed(0),
    ratio(settled, measured[0]?.settled),
    ...costs,
  ]);
  const head = ['case', 'p50 µs', 'min–max', 'to raw', 'p99 µs', 'settled: p50 µs', 'to raw', ...COSTS];
  return { text: table(head, rows), rounds };
}

async function measure(
  group: string,
  names: Record<string, string>,
  extent: LatencyExtent,
): Promise<{ measured: Measured[]; rounds: number }> {
  const cases = Object.keys(names).filter((name) => canRun(name, extent));
  const latencies = await runCases(group, cases, extent);
  const medians = latencies.map((round) => round.map(({ p50 }) => p50));
  const measured = Object.entries(names).map(([key, name]) => {
    const taken = latencies[cases.indexOf(key)] ?? [];
    const p50 = taken.map((latency) => latency.p50);
    if (taken.length === 0) return { cells: [name, 'not installed', '', '', ''], costs: [], p50, settled: [] };
    const p99 = taken.map((latency) => latency.p99);
    const cells = [name, median(p50).toFixed(0), spread(p50), ratio(p50, medians[0]), median(p99).toFixed(0)];
    const cpu = median(taken.map((latency) => latency.cpu));
    const costs = [cpu.toFixed(0), Math.max(...taken.map(({ rss }) => rss)).toFixed(0)];
    return { cells, costs, p50, settled: taken.map(({ settled }) => settled) };
  });
  return { measured, rounds: roundsOf(latencies) };
}

async function runCases(group: string, cases: readonly string[], extent: LatencyExtent): Promise<Latency[][]> {
  const { latencyCount, latencyWarmUp } = extent.sizes;
  const redis = extent.server.client();
  await using processes = await WarmProcesses.start(cases, (name) =>
    WarmProcess.start<LatencyTask, Latency>('latency-worker.ts', argumentsFor(name, brokerOf(name, extent))),
  );
  const send = (milliseconds: number, count: number) => async (name: string) => {
    await redis.flushall();
    await clearFor(name, extent, QUEUE);
    return processes.ask(name, { milliseconds, count });
  };
  // They end when this is left.
  return await runInRounds(
    group,
    extent.rounds,
    cases,
    send(latencyWarmUp * LEAD, latencyCount),
    send(latencyWarmUp, 0),
  );
}
