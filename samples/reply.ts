/**
 * Answers what request.ts asks. Run it beside request.ts, in any order, and as many of either as you like:
 *
 *     npx tsx samples/reply.ts        (Ctrl-C stops it gracefully: what it works on it still answers)
 *
 * There are two ways to answer, and here are both, each for a queue of its own. The queues are in the Redis that MILLRACE_URL names, by
 * default redis://127.0.0.1:6379.
 */
import { pipeline } from 'node:stream/promises';
import { setTimeout } from 'node:timers/promises';
import { DeliveryStream, ReplyTransform, serve } from '../lib/index.ts';

/** What can be asked of the queue "greetings": request.ts has it from here. */
export interface Greetings {
  greet(name: string): string;
}

/** Half a second for each text. What is thrown is told to who asked. */
async function shout(text: string) {
  await setTimeout(500);
  if (text === '') throw new Error('There is nothing to shout');
  return `${text.toUpperCase()}!`;
}

// As a service, with handlers by method …
const service = serve<Greetings>('greetings', { greet: (name) => `Hello, ${name}! This is process ${process.pid}.` });

// … or as the end of a pipe.
const requests = new DeliveryStream('louder', { leaseTimeout: 5000 });
const replies = new ReplyTransform({ shout }, { concurrency: 4 });

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    service.close();
    requests.close();
  });
}

await Promise.all([service.closed, pipeline(requests, replies)]);
