/**
 * Pipes a million numbers, or as many as it is told, through a queue and back, and prints how many replies came, their sum, and the most
 * memory that was in use:
 *
 *     npx tsx samples/numbers.ts
 *     npx tsx samples/numbers.ts 100000
 *
 * It asks and answers in one process: no more than 1,000 numbers are on their way at a time, however many there are. The queue is in the
 * Redis that MILLRACE_URL names, by default redis://127.0.0.1:6379; with MILLRACE_URL=memory:numbers it needs none.
 */
import { pipeline } from 'node:stream/promises';
import { RequestDuplex, serve } from '../lib/index.ts';

function* numbers(count: number) {
  for (let n = 0; n < count; n += 1) yield n;
}

let replies = 0;
let sum = 0;

async function add(doubles: AsyncIterable<number>) {
  for await (const double of doubles) {
    replies += 1;
    sum += double;
  }
}

const [count = '1000000'] = process.argv.slice(2);
const service = serve('numbers', { double: (n: number) => 2 * n });

await pipeline(numbers(Number(count)), new RequestDuplex('numbers', { method: 'double', concurrency: 1000 }), add);
await service.close();

const megabytes = Math.round(process.resourceUsage().maxRSS / 1000);
console.log(`${replies} replies, their sum is ${sum}, ${megabytes} MB of memory at most`);
