/**
 * Takes the jobs that push.ts pushes from one queue, and puts what becomes of them into another, "echoes":
 *
 *     npx tsx samples/hop.ts        (Ctrl-C stops it gracefully: what it has in hand it still does)
 *
 * Each echo is stored in the step that settles its job: kill this program whenever you like, no echo is missing and none is there twice.
 * The queues are in the Redis that MILLRACE_URL names, by default redis://127.0.0.1:6379.
 */
import { pipeline } from 'node:stream/promises';
import { setTimeout } from 'node:timers/promises';
import { DeliveryStream, PushStream, WorkTransform } from '../lib/index.ts';

/** Half a second of work for each job. */
async function echo({ text }: { text: string; time: number }) {
  await setTimeout(500);
  return { text: `${text} … ${text}`, time: Date.now() };
}

const shouts = new DeliveryStream('shouts', { leaseTimeout: 5000 });
const echoes = new PushStream('echoes');
echoes.on('pushed', ({ text }) => console.log(`stored: ${text}`));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => shouts.close());

await pipeline(shouts, new WorkTransform(echo, { concurrency: 4 }), echoes);
