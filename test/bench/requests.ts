import { type Brokers, brokerOfKind } from './brokers.ts';
import { exchanges, PEERS, RAW } from './exchanges.ts';
import { isInstalled } from './peers.ts';
import { type Rounds, roundsOf, run, runInRounds } from './run.ts';
import type { Section } from './section.ts';
import type { Sizes } from './settings.ts';
import { median, ratio, spread, table } from './table.ts';

/** How many requests are in flight at a time. */
export const IN_FLIGHT: readonly number[] = [1, 64, 1024];

/** What a run of `requests-worker.ts` prints: thousand round trips a second for each of {@link IN_FLIGHT}; microseconds of one alone. */
export interface RoundTrips {
  readonly rates: readonly number[];
  readonly p50: number;
  readonly p99: number;
}

/** Has requests answered in every way, and gives the table of it. */
export async function measureRequests(
  brokers: Brokers,
  rounds: Rounds,
  { requestsWarmUp, requestsMeasured }: Sizes,
): Promise<Section> {
  const names = Object.entries(exchanges).flatMap(([name, { broker }]) => {
    const peer = PEERS[name];
    if (peer !== undefined && !isInstalled(peer)) return [];
    return brokerOfKind(broker, brokers) ? [name] : [];
  });
  const measured = await runInRounds('requests', rounds, names, async (name) => {
    await brokers.server.client().flushall();
    const { url = '' } = brokerOfKind(exchanges[name]?.broker ?? 'redis', brokers) ?? {};
    return run<RoundTrips>('requests-worker.ts', [name, url, requestsWarmUp, requestsMeasured]);
  });
  const ratesOf = (name: string, at: number): number[] =>
    (measured[names.indexOf(name)] ?? []).map(({ rates }) => rates[at] ?? 0);
  const rows = Object.keys(exchanges).map((name) => {
    const taken = measured[names.indexOf(name)];
    if (!taken) return [name, 'not installed'];
    const p50 = taken.map((one) => one.p50);
    const p99 = taken.map((one) => one.p99);
    const cells = IN_FLIGHT.flatMap((_, at) => {
      const rates = ratesOf(name, at);
      return [
        median(rates).toFixed(1),
        spread(rates),
        ratio(rates, ratesOf(RAW, at)),
        ratio(rates, ratesOf('Moleculer', at)),
      ];
    });
    return [name, ...cells, median(p50).toFixed(0), median(p99).toFixed(0)];
  });
  const titles = IN_FLIGHT.flatMap((count) => [`${count} in flight: thousand/s`, 'min–max', 'to raw', 'to Moleculer']);
  const text = table(['case', ...titles, 'one alone: p50 µs', 'p99 µs'], rows);
  return { text, rounds: roundsOf(measured) };
}
