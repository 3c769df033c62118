/**
 * Pulls the jobs that push.ts pushes, and does them:
 *
 *     npx tsx samples/pull.ts        (Ctrl-C stops it gracefully: what it has pulled it still does)
 *
 * The queue is in the Redis that MILLRACE_URL names, by default redis://127.0.0.1:6379.
 */
import { pipeline } from 'node:stream/promises';
import { setTimeout } from 'node:timers/promises';
import { PullStream } from '../lib/index.ts';

/** Half a second of work for each job: with two of these programs running, twice as many get done. */
async function* shout(jobs: AsyncIterable<{ text: string; time: number }>) {
  for await (const { text, time } of jobs) {
    await setTimeout(500);
    yield `${text.toUpperCase()}! (${Date.now() - time} ms after it was pushed)\n`;
  }
}

// Jobs take long here: one in advance is enough, and the rest is there for other workers.
const pull = new PullStream('shouts', { highWaterMark: 1 });
process.on('SIGINT', () => pull.close());

await pipeline(pull, shout, process.stdout);
