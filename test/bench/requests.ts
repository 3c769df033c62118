import { argumentsFor, type Broker, type Brokers, brokerOfKind } from './brokers.ts';
import { exchanges, MOLECULER, OURS, PEERS, RAW } from './exchanges.ts';
import { isInstalled } from './peers.ts';
import { partOf, type Rounds, roundsOf, runInRounds } from './run.ts';
import type { Section } from './section.ts';
import type { Sizes } from './settings.ts';
import { median, microseconds, ratio, ratios, spread, table } from './table.ts';
import { WarmProcess } from './warm-process.ts';
import { WarmProcesses } from './warm-processes.ts';
import { ZEROMQ } from './zeromq-exchange.ts';

/** For how long to ask, and how many requests are in flight at a time. */
export interface Ask {
  readonly milliseconds: number;
  readonly inFlight: number;
}

/** What that came to: thousand round trips a second, and microseconds of one. */
export interface RoundTrips {
  readonly rate: number;
  readonly p50: number;
  readonly p99: number;
  /** Microseconds of CPU of both ends, and of the server, for each request; absent where the system does not tell. */
  readonly cpu?: number | undefined;
  readonly serverCpu?: number | undefined;
  /** MB of who asks, at its peak. */
  readonly rss: number;
}

type Asking = WarmProcesses<Ask, RoundTrips>;

/** How many requests are in flight at a time: few first, for what was under a heavy load takes a while to be what it was. */
const IN_FLIGHT: readonly number[] = [1, 64, 1024];

/** For how long those are asked that come first of a round, and do not count, beside those that do. */
const LEAD = 0.1;

/** What each case has measured with so many in flight, by round; a case that could not be run has none. */
type Measured = ReadonlyMap<string, readonly RoundTrips[]>;

/** Has requests answered in every way, and gives the table of it, and what was reached of what is aimed at. */
export async function measureRequests(brokers: Brokers, rounds: Rounds, sizes: Sizes): Promise<Section> {
  const names = Object.keys(exchanges).filter((name) => canRun(name, brokers));
  await using asking: Asking = await WarmProcesses.start(names, (name) =>
    WarmProcess.start('requests-worker.ts', argumentsFor(name, brokerFor(name, brokers))),
  );
  const loads: Measured[] = [];
  for (const [index, inFlight] of IN_FLIGHT.entries()) {
    loads.push(await measureLoad(inFlight, partOf(rounds, IN_FLIGHT.length - index), names, asking, sizes));
  }
  return sectionOf(loads);
}

function sectionOf(loads: readonly Measured[]): Section {
  const rows = Object.keys(exchanges).map((name) => rowOf(name, loads));
  const titles = IN_FLIGHT.flatMap((many) => [`${many} in flight: thousand/s`, 'min–max', 'to raw', 'to Moleculer']);
  const alone = ['one alone: p50 µs', 'to Moleculer', 'p99 µs'];
  const costs = [`${IN_FLIGHT.at(-1)}: CPU µs/item`, "server's µs/item", 'peak RSS MB'];
  const text = `${table(['case', ...titles, ...alone, ...costs], rows)}\n\n${aimsOf(loads).join('\n')}`;
  return { text, rounds: Math.min(...loads.map((load) => roundsOf([...load.values()]))) };
}

/** One load, with processes that have had no heavier one before; each is warm before any is measured. */
async function measureLoad(
  inFlight: number,
  rounds: Rounds,
  names: readonly string[],
  asking: Asking,
  { requestsWarmUp, requestsMeasured }: Sizes,
): Promise<Measured> {
  const warmUp = (name: string) => asking.ask(name, { inFlight, milliseconds: requestsWarmUp });
  const runCase = async (name: string): Promise<RoundTrips> => {
    await asking.ask(name, { inFlight, milliseconds: requestsMeasured * LEAD });
    return asking.ask(name, { inFlight, milliseconds: requestsMeasured });
  };
  const taken = await runInRounds(`requests, ${inFlight} in flight`, rounds, names, runCase, warmUp);
  return new Map(names.map((name, index) => [name, taken[index] ?? []]));
}

function canRun(name: string, brokers: Brokers): boolean {
  const peer = PEERS[name];
  if (peer !== undefined && !isInstalled(peer)) return false;
  return brokerFor(name, brokers) !== undefined;
}

function brokerFor(name: string, brokers: Brokers): Broker | undefined {
  return brokerOfKind(exchanges[name]?.broker ?? 'redis', brokers);
}

function figuresOf(figure: 'rate' | 'p50' | 'p99', name: string, load: Measured | undefined): number[] | undefined {
  return load?.get(name)?.map((one) => one[figure]);
}

function rowOf(name: string, loads: readonly Measured[]): string[] {
  const [alone] = loads;
  const most = loads.at(-1)?.get(name);
  if (!most) return [name, 'not installed'];
  const cells = loads.flatMap((load) => {
    const rates = figuresOf('rate', name, load) ?? [];
    const others = [RAW, MOLECULER].map((other) => ratio(rates, figuresOf('rate', other, load)));
    return [median(rates).toFixed(1), spread(rates, 1), ...others];
  });
  const p50 = figuresOf('p50', name, alone) ?? [];
  return [
    name,
    ...cells,
    median(p50).toFixed(0),
    ratio(p50, figuresOf('p50', MOLECULER, alone)),
    median(figuresOf('p99', name, alone) ?? []).toFixed(0),
    microseconds(most.map(({ cpu }) => cpu)),
    microseconds(most.map(({ serverCpu }) => serverCpu)),
    Math.max(...most.map(({ rss }) => rss)).toFixed(0),
  ];
}

/** Says whether ours is ahead of ZeroMQ where many are in flight. */
function aimsOf(loads: readonly Measured[]): string[] {
  return IN_FLIGHT.flatMap((count, at) => {
    if (count === 1) return [];
    const aim = `Aim to ZeroMQ, ${count} in flight, 1 or more`;
    const others = figuresOf('rate', ZEROMQ, loads[at]);
    if (!others) return [`${aim}: not measured.`];
    const found = median(ratios(figuresOf('rate', OURS, loads[at]) ?? [], others));
    return [`${aim}: ${OURS} ${found >= 1 ? 'reaches' : 'misses'} it (${found.toFixed(2)}).`];
  });
}
