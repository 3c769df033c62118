import type { RedisServer } from '../support/redis.ts';
import { run } from './run.ts';
import type { Section } from './section.ts';
import { table } from './table.ts';

/** What a run took: seconds, and MB of memory before it, when a tenth of the jobs was done, and at its peak. */
interface Figures {
  readonly seconds: number;
  readonly loaded: number;
  readonly early: number;
  readonly rss: number;
}

/** How many MB a process shall stay under. */
const AIM = 150;

const QUEUE = 'memory';

const names = { push: 'fast source → PushStream', pull: 'PullStream → slow pipe' };

/** Pushes `count` jobs while another process pulls them more slowly, and gives the table of what memory each took. */
export async function measureMemory(server: RedisServer, count: number): Promise<Section> {
  process.stderr.write('memory\n');
  const failed = new AbortController();
  const works = Object.entries(names).map(async ([work, name]) => {
    const figures = await run<Figures>('memory-worker.js', [work, server.url, QUEUE, count], failed.signal);
    return { name, figures };
  });
  try {
    const measured = await Promise.all(works);
    return { text: textOf(measured), rounds: 1 };
  } finally {
    failed.abort();
  }
}

function textOf(measured: readonly { readonly name: string; readonly figures: Figures }[]): string {
  const rows = measured.map(({ name, figures: { seconds, loaded, early, rss } }) => [
    name,
    seconds.toFixed(1),
    ...[loaded, early, rss].map((megabytes) => megabytes.toFixed(0)),
  ]);
  const head = ['process', 'seconds', 'RSS MB at start', 'after a tenth', 'peak RSS MB'];
  const most = Math.max(...measured.map(({ figures }) => figures.rss));
  return `${table(head, rows)}\n\nAim, less than ${AIM} MB a process: ${most < AIM ? 'reached' : 'missed'}.`;
}
