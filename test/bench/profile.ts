import { RedisServer } from '../support/redis.ts';
import { CONCURRENCY } from './case.ts';
import { describeMachine } from './machine.ts';
import { OWNERS, type Shares } from './profile-sum.ts';
import { pushRaw } from './pushes.ts';
import { Report } from './report.ts';
import { requestCases } from './request-cases.ts';
import { type Rounds, roundsOf, run, runInRounds } from './run.ts';
import { type ServerCosts, serverCostsOf } from './server-costs.ts';
import type { Settings, Sizes } from './settings.ts';
import { median, table } from './table.ts';

/** The most percent of a client's time that shall be millrace's own. */
const AIM = 15;

/** The part of the seconds of all tables that profiles take. */
const SHARE = 0.1;

const QUEUE = 'profile';

/** What is profiled: how it is called in the tables, and in `cases.ts`; what part of the jobs it moves, if not all. */
interface Profiled {
  readonly title: string;
  readonly name: string;
  readonly share?: number;
  /** What is done with jobs that are there. */
  readonly isDrain?: boolean;
}

const jobs: readonly Profiled[] = [
  { title: 'push', name: 'pipeline()' },
  { title: 'push by write()', name: 'write()' },
  { title: 'drain', name: "on('data')", isDrain: true },
  { title: 'drain by for await', name: 'for await', isDrain: true },
  { title: `deliveries, ${CONCURRENCY} handlers`, name: 'DeliveryStream → AckStream', isDrain: true },
];
const requests: readonly Profiled[] = Object.keys(requestCases).map((name, index) => ({
  title: `${name}, both ends`,
  name,
  share: [0.01, 0.2, 0.5][index] ?? 1,
}));
const profiled = [...jobs, ...requests];

/** What a run has come to: whose the time of the client was, and what the server spent. */
interface Profile {
  readonly shares: Shares;
  readonly server: ServerCosts;
}

/** Says where a client's time goes: whose it is, and which functions of millrace's take most; and what the server spends. */
export async function measureProfiles({ quick, sizes, markdown }: Settings): Promise<void> {
  await using server = await RedisServer.start();
  const report = new Report(markdown, quick);
  await report.print('Machine', await describeMachine(server));
  const rounds = { count: sizes.rounds, end: performance.now() + sizes.seconds * SHARE * 1000 };
  const measured = await profileAll(server, rounds, sizes);
  const count = sizes.count.toLocaleString('en');
  const title = `Where a client's time goes, in percent, when it is not idle: ${count} jobs of about 120 bytes`;
  await report.printSection(title, { text: sharesText(measured), rounds: roundsOf(measured) });
  const costs =
    'What the server spends, µs for each item; what a script or a transaction calls is part of its evalsha or exec';
  await report.printSection(costs, { text: serverText(measured), rounds: roundsOf(measured) });
  for (const [index, { title: name }] of profiled.entries()) {
    await report.print(`What of it is millrace's own: ${name}`, topText(measured[index] ?? []));
  }
}

function profileAll(server: RedisServer, rounds: Rounds, sizes: Sizes): Promise<Profile[][]> {
  const client = server.client();
  const names = profiled.map(({ name }) => name);
  return runInRounds('profile', rounds, names, async (name) => {
    const { share = 1, isDrain } = profiled.find((one) => one.name === name) ?? {};
    const [count, warmUp] = [sizes.count, sizes.warmUp].map((all) => Math.ceil(all * share)) as [number, number];
    await client.flushall();
    if (isDrain) {
      await pushRaw(server.url, `${QUEUE}-warm`, warmUp);
      await pushRaw(server.url, QUEUE, count);
    }
    await client.config('RESETSTAT');
    const shares = await run<Shares>('profile-worker.ts', [name, server.url, QUEUE, count, warmUp]);
    return { shares, server: serverCostsOf(await client.info('commandstats'), count + warmUp) };
  });
}

function sharesText(measured: readonly (readonly Profile[])[]): string {
  const percentOf = (rounds: readonly Profile[], owner: number): number =>
    median(rounds.map(({ shares }) => shares.percents[owner] ?? 0));
  const rows = OWNERS.map((owner, index) => [owner, ...measured.map((rounds) => percentOf(rounds, index).toFixed(1))]);
  const aims = jobs.map(({ title }, index) => {
    const own = percentOf(measured[index] ?? [], OWNERS.indexOf('millrace'));
    return `${title} ${own < AIM ? 'reaches' : 'misses'} it (${own.toFixed(1)})`;
  });
  const head = ['whose', ...profiled.map(({ title }) => title)];
  return `${table(head, rows)}\n\nAim of millrace's own, less than ${AIM}: ${aims.join(', ')}.`;
}

function serverText(measured: readonly (readonly Profile[])[]): string {
  const rows = profiled.map(({ title }, index) => {
    const rounds = measured[index] ?? [];
    return [title, median(rounds.map(({ server }) => server.all)).toFixed(2), rounds.at(-1)?.server.dearest ?? ''];
  });
  return table(['case', 'µs/item', 'by command, in the last round'], rows);
}

/** The functions of one case that take most, in the last round. */
function topText(rounds: readonly Profile[]): string {
  const rows = (rounds.at(-1)?.shares.top ?? []).map(({ name, percent }) => [name, percent.toFixed(1)]);
  return table(['function', 'self time, percent'], rows);
}
