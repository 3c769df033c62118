import type { RedisServer } from '../support/redis.ts';
import { run, runInRounds } from './run.ts';
import { median, ratio, spread, table } from './table.ts';

/** Percentiles of the time from `send()` to the consumer's handler, and to when the job is settled for good; in microseconds. */
export interface Latency {
  readonly p50: number;
  readonly p99: number;
  readonly settled: number;
}

/** Cases of `latency-worker.ts`, as the tables have them; the first is what others are compared with. */
const values = {
  'raw-numbered': 'raw: the same script → BLMPOP',
  raw: 'raw LPUSH → BLMPOP',
  streams: "send() → on('data')",
};
const deliveries = {
  'raw-scripts': 'raw: the same scripts, and BLMOVE',
  'raw-lrem': 'raw LPUSH → BLMOVE, then LREM',
  deliveries: "send() → on('data') → ack()",
};

/** Sends `count` jobs one at a time through an empty queue, and gives the table of how long they took. */
export async function measureLatency(server: RedisServer, rounds: number, count: number): Promise<string> {
  const measured = await measure('latency', values, server, rounds, count);
  const rows = measured.map(({ cells }) => cells);
  return table(['case', 'p50 µs', 'min–max', 'to raw', 'p99 µs'], rows);
}

/** The same with jobs that are settled, each before the next one is sent. */
export async function measureDeliveryLatency(server: RedisServer, rounds: number, count: number): Promise<string> {
  const measured = await measure('latency of deliveries', deliveries, server, rounds, count);
  const rows = measured.map(({ cells, settled }) => [
    ...cells,
    median(settled).toFixed(0),
    ratio(settled, measured[0]?.settled),
  ]);
  return table(['case', 'p50 µs', 'min–max', 'to raw', 'p99 µs', 'settled: p50 µs', 'to raw'], rows);
}

async function measure(
  group: string,
  names: Record<string, string>,
  server: RedisServer,
  rounds: number,
  count: number,
): Promise<{ cells: string[]; settled: number[] }[]> {
  const latencies = await runInRounds(group, rounds, Object.keys(names), async (name) => {
    await server.client().flushall();
    return run<Latency>('latency-worker.ts', [name, server.url, count]);
  });
  const medians = latencies.map((round) => round.map(({ p50 }) => p50));
  return Object.values(names).map((name, index) => {
    const taken = latencies[index] ?? [];
    const p50 = medians[index] ?? [];
    const p99 = taken.map((latency) => latency.p99);
    const cells = [name, median(p50).toFixed(0), spread(p50), ratio(p50, medians[0]), median(p99).toFixed(0)];
    return { cells, settled: taken.map(({ settled }) => settled) };
  });
}
