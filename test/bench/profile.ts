import { RedisServer } from '../support/redis.ts';
import { CONCURRENCY } from './case.ts';
import { describeMachine } from './machine.ts';
import { OWNERS, type Shares } from './profile-sum.ts';
import { RAW as RAW_PUSH } from './pushes.ts';
import { Report } from './report.ts';
import { type Rounds, roundsOf, run, runInRounds } from './run.ts';
import type { Settings, Sizes } from './settings.ts';
import { median, table } from './table.ts';

/** The most percent of a client's time that shall be millrace's own. */
const AIM = 15;

/** The part of the seconds of all tables that profiles take. */
const SHARE = 0.1;

const QUEUE = 'profile';

/** What is profiled: how it is called in the tables, and in `cases.ts`. */
const profiled = [
  { title: 'push', name: 'pipeline()' },
  { title: 'push by write()', name: 'write()' },
  { title: 'drain', name: "on('data')" },
  { title: 'drain by for await', name: 'for await' },
  { title: `deliveries, ${CONCURRENCY} handlers`, name: 'DeliveryStream → AckStream' },
] as const;

/** Says where a client's time goes: whose it is, and which functions of millrace's take most. */
export async function measureProfiles({ quick, sizes, markdown }: Settings): Promise<void> {
  await using server = await RedisServer.start();
  const report = new Report(markdown, quick);
  await report.print('Machine', await describeMachine(server));
  const rounds = { count: sizes.rounds, seconds: sizes.seconds * SHARE };
  const measured = await profileAll(server, rounds, sizes);
  const count = sizes.count.toLocaleString('en');
  const title = `Where a client's time goes, in percent, when it is not idle: ${count} jobs of about 120 bytes`;
  await report.printSection(title, { text: sharesText(measured), rounds: roundsOf(measured) });
  for (const [index, { title: name }] of profiled.entries()) {
    await report.print(`What of it is millrace's own: ${name}`, topText(measured[index] ?? []));
  }
}

function profileAll(server: RedisServer, rounds: Rounds, { count, warmUp }: Sizes): Promise<Shares[][]> {
  const names = profiled.map(({ name }) => name);
  return runInRounds('profile', rounds, names, async (name) => {
    await server.client().flushall();
    const args = [server.url, QUEUE, count, warmUp];
    if (!name.endsWith('()')) await run('worker.ts', [RAW_PUSH, ...args]);
    return run<Shares>('profile-worker.ts', [name, ...args]);
  });
}

function sharesText(measured: readonly (readonly Shares[])[]): string {
  const percentOf = (rounds: readonly Shares[], owner: number): number =>
    median(rounds.map(({ percents }) => percents[owner] ?? 0));
  const rows = OWNERS.map((owner, index) => [owner, ...measured.map((rounds) => percentOf(rounds, index).toFixed(1))]);
  const aims = profiled.map(({ title }, index) => {
    const own = percentOf(measured[index] ?? [], OWNERS.indexOf('millrace'));
    return `${title} ${own < AIM ? 'reaches' : 'misses'} it (${own.toFixed(1)})`;
  });
  const head = ['whose', ...profiled.map(({ title }) => title)];
  return `${table(head, rows)}\n\nAim of millrace's own, less than ${AIM}: ${aims.join(', ')}.`;
}

/** The functions of one case that take most, in the last round. */
function topText(rounds: readonly Shares[]): string {
  const rows = (rounds.at(-1)?.top ?? []).map(({ name, percent }) => [name, percent.toFixed(1)]);
  return table(['function', 'self time, percent'], rows);
}
