import { type Brokers, brokerOfKind } from './brokers.ts';
import { exchanges, MOLECULER, OURS, PEERS, RAW } from './exchanges.ts';
import { isInstalled } from './peers.ts';
import { type Rounds, roundsOf, run, runInRounds } from './run.ts';
import type { Section } from './section.ts';
import type { Sizes } from './settings.ts';
import { median, microseconds, ratio, ratios, spread, table } from './table.ts';
import { ZEROMQ } from './zeromq-exchange.ts';

/** How many requests are in flight at a time. */
export const IN_FLIGHT: readonly number[] = [1, 64, 1024];

/** Microseconds of CPU of both ends, and of the server, for each request; absent where the system does not tell. MB of who asks. */
export interface Costs {
  readonly cpu?: number | undefined;
  readonly serverCpu?: number | undefined;
  readonly rss: number;
}

/** What a run of `requests-worker.ts` prints: thousand round trips a second for each of {@link IN_FLIGHT}; microseconds of one alone. */
export interface RoundTrips {
  readonly rates: readonly number[];
  readonly costs: readonly Costs[];
  readonly p50: number;
  readonly p99: number;
}

/** What each case has measured, by round; a case that could not be run has none. */
type Measured = ReadonlyMap<string, readonly RoundTrips[]>;

/** Has requests answered in every way, and gives the table of it, and what was reached of what is aimed at. */
export async function measureRequests(
  brokers: Brokers,
  rounds: Rounds,
  { requestsWarmUp, requestsMeasured }: Sizes,
): Promise<Section> {
  const names = Object.keys(exchanges).filter((name) => canRun(name, brokers));
  const taken = await runInRounds('requests', rounds, names, async (name) => {
    await brokers.server.client().flushall();
    const { url = '', pid } = brokerOfKind(exchanges[name]?.broker ?? 'redis', brokers) ?? {};
    const args = [name, url, requestsWarmUp, requestsMeasured];
    return run<RoundTrips>('requests-worker.ts', pid === undefined ? args : [...args, pid]);
  });
  const measured = new Map(names.map((name, index) => [name, taken[index] ?? []]));
  const rows = Object.keys(exchanges).map((name) => rowOf(name, measured));
  const titles = IN_FLIGHT.flatMap((count) => [`${count} in flight: thousand/s`, 'min–max', 'to raw', 'to Moleculer']);
  const costs = [`${IN_FLIGHT.at(-1)}: CPU µs/item`, "server's µs/item", 'peak RSS MB'];
  const head = ['case', ...titles, 'one alone: p50 µs', 'p99 µs', ...costs];
  const text = `${table(head, rows)}\n\n${aimsOf(measured).join('\n')}`;
  return { text, rounds: roundsOf(taken) };
}

function canRun(name: string, brokers: Brokers): boolean {
  const peer = PEERS[name];
  if (peer !== undefined && !isInstalled(peer)) return false;
  return brokerOfKind(exchanges[name]?.broker ?? 'redis', brokers) !== undefined;
}

function ratesOf(name: string, at: number, measured: Measured): number[] {
  return (measured.get(name) ?? []).map(({ rates }) => rates[at] ?? 0);
}

function rowOf(name: string, measured: Measured): string[] {
  const taken = measured.get(name);
  if (!taken) return [name, 'not installed'];
  const cells = IN_FLIGHT.flatMap((_, at) => {
    const rates = ratesOf(name, at, measured);
    const toMoleculer = measured.has(MOLECULER) ? ratesOf(MOLECULER, at, measured) : undefined;
    return [
      median(rates).toFixed(1),
      spread(rates, 1),
      ratio(rates, ratesOf(RAW, at, measured)),
      ratio(rates, toMoleculer),
    ];
  });
  const p50 = taken.map((one) => one.p50);
  const p99 = taken.map((one) => one.p99);
  const costs = taken.flatMap((one) => one.costs.slice(-1));
  return [
    name,
    ...cells,
    median(p50).toFixed(0),
    median(p99).toFixed(0),
    microseconds(costs.map(({ cpu }) => cpu)),
    microseconds(costs.map(({ serverCpu }) => serverCpu)),
    Math.max(...costs.map(({ rss }) => rss)).toFixed(0),
  ];
}

/** Says whether ours is ahead of ZeroMQ where many are in flight. */
function aimsOf(measured: Measured): string[] {
  return IN_FLIGHT.flatMap((count, at) => {
    if (count === 1) return [];
    const aim = `Aim to ZeroMQ, ${count} in flight, 1 or more`;
    if (!measured.has(ZEROMQ)) return [`${aim}: not measured.`];
    const found = median(ratios(ratesOf(OURS, at, measured), ratesOf(ZEROMQ, at, measured)));
    return [`${aim}: ${OURS} ${found >= 1 ? 'reaches' : 'misses'} it (${found.toFixed(2)}).`];
  });
}
