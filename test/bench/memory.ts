import type { RedisServer } from '../support/redis.ts';
import { run } from './run.ts';
import type { Section } from './section.ts';
import { table } from './table.ts';

/** What a run took: seconds, and MB of memory before it and at its peak. */
interface Figures {
  readonly seconds: number;
  readonly loaded: number;
  readonly rss: number;
}

const QUEUE = 'memory';

const names = { push: 'fast source → PushStream', pull: 'PullStream → slow pipe' };

/** Pushes `count` jobs while another process pulls them more slowly, and gives the table of what memory each took. */
export async function measureMemory(server: RedisServer, count: number): Promise<Section> {
  process.stderr.write('memory\n');
  const failed = new AbortController();
  const works = Object.entries(names).map(async ([work, name]) => {
    const figures = await run<Figures>('memory-worker.js', [work, server.url, QUEUE, count], failed);
    return [name, ...[figures.seconds.toFixed(1), figures.loaded.toFixed(0), figures.rss.toFixed(0)]];
  });
  try {
    const rows = await Promise.all(works);
    return { text: table(['process', 'seconds', 'RSS MB at start', 'peak RSS MB'], rows), rounds: 1 };
  } finally {
    failed.abort();
  }
}
