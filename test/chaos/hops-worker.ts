/** A worker of the chaos: it carries numbers from the first queue over the second to the third, one more at each hop. */
import { pipeline } from 'node:stream/promises';
import { DeliveryStream, PushStream, WorkTransform } from '../../lib/index.ts';
import { nextTurn } from '../support/streams.ts';
import { endWith, onStop, sayDone, settings } from './parent.ts';

const { queues, ...options } = settings<{ queues: string[]; consumer: string; leaseTimeout: number }>();
const [a = '', b = '', c = ''] = queues;
const sources: DeliveryStream<number>[] = [];

async function hop(from: string, to: string, done: () => void): Promise<void> {
  const source = new DeliveryStream<number>(from, { ...options, backoff: 50 });
  const work = new WorkTransform<number, number>(
    async (n, delivery) => {
      for (let turns = n % 4; turns > 0; turns -= 1) await nextTurn();
      if (n % 50 === 0 && delivery.attempt === 1) throw new Error('as planned');
      done();
      return n + 1;
    },
    { concurrency: 16 },
  );
  sources.push(source);
  await pipeline(source, work, new PushStream(to));
}

onStop(() => {
  for (const source of sources) void source.close();
});
endWith(await Promise.allSettled([hop(a, b, () => {}), hop(b, c, sayDone)]));
