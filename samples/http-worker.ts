/**
 * Does the work for http.ts and events.ts:
 *
 *     npx tsx samples/http-worker.ts        (Ctrl-C stops it gracefully: what it works on it still answers)
 *
 * The queue is in the Redis that MILLRACE_URL names, by default redis://127.0.0.1:6379.
 */
import { setTimeout } from 'node:timers/promises';
import { type Request, serve } from '../lib/index.ts';

/** What can be asked of the queue "http-shouts": http.ts and events.ts have it from here. */
export interface Shouting {
  shout(text: string): string;
  spell(text: string): AsyncIterable<string>;
}

/** A tenth of a second for each letter. It stops where nobody waits for it any more. */
async function shout(text: string, { signal }: Request) {
  if (text === '') throw new Error('There is nothing to shout');
  console.log(`begun: ${text}`);
  signal.addEventListener('abort', () => console.log(`given up: ${text}`));
  await setTimeout(100 * text.length, undefined, { signal });
  return `${text.toUpperCase()}!`;
}

/** A letter each tenth of a second. It is ended where nobody reads any more. */
async function* spell(text: string) {
  console.log(`begun: ${text}`);
  try {
    for (const letter of text) {
      await setTimeout(100);
      yield letter.toUpperCase();
    }
  } finally {
    console.log(`ended: ${text}`);
  }
}

const service = serve<Shouting>('http-shouts', { shout, spell }, { concurrency: 10, leaseTimeout: 5000 });
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => service.close());

await service.ready;
console.log('ready');
await service.closed;
