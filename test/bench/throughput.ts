import type { RedisServer } from '../support/redis.ts';
import { pulls, pushes } from './cases.ts';
import { run, runInRounds } from './run.ts';
import { median, ratio, spread, table } from './table.ts';

/** What a run took: seconds, seconds of CPU, and MB of memory at its peak. */
export interface Figures {
  readonly seconds: number;
  readonly cpu: number;
  readonly rss: number;
}

const QUEUE = 'bench';
const WARM_QUEUE = `${QUEUE}-warm`;

/** Pushes `count` jobs in every way, and gives the table of it. */
export async function measurePushes(server: RedisServer, rounds: number, count: number): Promise<string> {
  const redis = server.client();
  const names = Object.keys(pushes);
  const figures = await runInRounds('push', rounds, names, async (name) => {
    await redis.flushall();
    const taken = await run<Figures>('worker.ts', [name, server.url, QUEUE, count]);
    const stored = await redis.llen(QUEUE);
    if (stored !== count) throw new Error(`${name} stored ${stored} jobs of ${count}`);
    return taken;
  });
  return tableOf(names, figures, count);
}

/** Pulls `count` jobs in every way, and gives the table of it. */
export async function measurePulls(server: RedisServer, rounds: number, count: number): Promise<string> {
  const redis = server.client();
  const names = Object.keys(pulls);
  const source = 'source';
  await redis.flushall();
  await run('worker.ts', [Object.keys(pushes)[0] ?? '', server.url, source, count]);
  const figures = await runInRounds('pull', rounds, names, async (name) => {
    await redis.copy(source, QUEUE, 'REPLACE');
    await redis.copy(`${source}-warm`, WARM_QUEUE, 'REPLACE');
    const taken = await run<Figures>('worker.ts', [name, server.url, QUEUE, count]);
    const left = await redis.exists(QUEUE, WARM_QUEUE);
    if (left > 0) throw new Error(`${name} left jobs behind`);
    return taken;
  });
  return tableOf(names, figures, count);
}

function tableOf(names: readonly string[], figures: readonly Figures[][], count: number): string {
  const rates = figures.map((taken) => taken.map(({ seconds }) => count / seconds / 1000));
  const rows = names.map((name, index) => {
    const taken = figures[index] ?? [];
    const rate = rates[index] ?? [];
    return [
      name,
      median(rate).toFixed(0),
      spread(rate),
      ratio(rate, rates[0] ?? []),
      median(taken.map(({ cpu }) => (cpu / count) * 1e6)).toFixed(2),
      Math.max(...taken.map(({ rss }) => rss)).toFixed(0),
    ];
  });
  return table(['case', 'thousand items/s', 'min–max', 'to raw', 'CPU µs/item', 'peak RSS MB'], rows);
}
