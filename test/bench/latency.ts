import type { RedisServer } from '../support/redis.ts';
import { run, runInRounds } from './run.ts';
import { median, ratio, spread, table } from './table.ts';

/** Percentiles of the time from `send()` to the consumer's handler, in microseconds. */
export interface Latency {
  readonly p50: number;
  readonly p99: number;
}

const names = { raw: 'raw LPUSH → BLMPOP', streams: "send() → on('data')" };

/** Sends `count` jobs one at a time through an empty queue, and gives the table of how long they took. */
export async function measureLatency(server: RedisServer, rounds: number, count: number): Promise<string> {
  const cases = Object.keys(names);
  const latencies = await runInRounds('latency', rounds, cases, (name) =>
    run<Latency>('latency-worker.ts', [name, server.url, count]),
  );
  const medians = latencies.map((round) => round.map(({ p50 }) => p50));
  const rows = Object.values(names).map((name, index) => {
    const p50 = medians[index] ?? [];
    const p99 = (latencies[index] ?? []).map((latency) => latency.p99);
    return [name, median(p50).toFixed(0), spread(p50), ratio(p50, medians[0] ?? []), median(p99).toFixed(0)];
  });
  return table(['case', 'p50 µs', 'min–max', 'to raw', 'p99 µs'], rows);
}
