/**
 * Has each line of its input shouted by reply.ts, and prints the answers in the order of the lines:
 *
 *     npx tsx samples/request.ts        (type lines, Ctrl-D ends them)
 *     seq 20 | npx tsx samples/request.ts
 *
 * There are two ways to ask, and here are both: as a promise, and as a pipe. The queues are in the Redis that MILLRACE_URL names, by
 * default redis://127.0.0.1:6379.
 */
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { Client, RequestDuplex, type Settled } from '../lib/index.ts';
import type { Greetings } from './reply.ts';

async function* print(outcomes: AsyncIterable<Settled<string, string>>) {
  for await (const outcome of outcomes) {
    yield outcome.status === 'fulfilled' ? `${outcome.value}\n` : `${outcome.reason.message}\n`;
  }
}

const client = new Client<Greetings>('greetings');
console.log(await client.request('greet', 'request.ts'));

// At most eight are asked at a time: more lines are read when the first of them are answered. A failure is printed, and stops nothing.
const louder = new RequestDuplex('louder', { method: 'shout', concurrency: 8, settled: true });
await pipeline(createInterface({ input: process.stdin }), louder, print, process.stdout);
