/**
 * Does the jobs that push.ts pushes, as pull.ts does, and loses none: what fails is tried again, and what a worker held that was killed
 * is delivered to another.
 *
 *     npx tsx samples/work.ts        (Ctrl-C stops it gracefully: what it has in hand it still does)
 *
 * The queue is in the Redis that MILLRACE_URL names, by default redis://127.0.0.1:6379.
 */
import { setTimeout } from 'node:timers/promises';
import { work } from '../lib/index.ts';

/** Half a second of work for each job, four at a time. An empty text fails: after three attempts it is a dead letter. */
async function shout({ text, time }: { text: string; time: number }) {
  await setTimeout(500);
  if (text === '') throw new Error('There is nothing to shout');
  console.log(`${text.toUpperCase()}! (${Date.now() - time} ms after it was pushed)`);
}

const service = work('shouts', shout, { concurrency: 4, leaseTimeout: 5000, maxAttempts: 3, backoff: 1000 });
service.stream.on('retry', ({ reason, delay }) => console.error(`${reason.message}: again in ${delay} ms`));
service.stream.on('dead', ({ reason, attempt }) =>
  console.error(`${reason.message}: given up after ${attempt} attempts`),
);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => service.close());

await service.closed;
