/**
 * Pushes a job for each line of its input. Run it beside pull.ts, in any order, and as many of either as you like:
 *
 *     npx tsx samples/push.ts        (type lines, Ctrl-D ends them)
 *     seq 1000 | npx tsx samples/push.ts
 *
 * The queue is in the Redis that MILLRACE_URL names, by default redis://127.0.0.1:6379.
 */

import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { PushStream } from '../lib/index.ts';

async function* jobs(lines: AsyncIterable<string>) {
  for await (const text of lines) yield { text, time: Date.now() };
}

const push = new PushStream('shouts');
push.on('pushed', (job) => console.log(`stored: ${job.text}`));

await pipeline(createInterface({ input: process.stdin }), jobs, push);
