/** A worker of the chaos: it notes each job that it has done in a file of its own before that is acknowledged. */
import { openSync, writeSync } from 'node:fs';
import { work } from '../../lib/index.ts';
import { nextTurn } from '../support/streams.ts';
import { endWith, onStop, sayDone, settings } from './parent.ts';

const { queue, file, ...options } = settings<{ queue: string; file: string; consumer: string; leaseTimeout: number }>();
const notes = openSync(file, 'a');

const service = work<number>(
  queue,
  async (job, delivery) => {
    for (let turns = job % 4; turns > 0; turns -= 1) await nextTurn();
    if (job % 50 === 0 && delivery.attempt === 1) throw new Error('as planned');
    writeSync(notes, `${job}\n`);
    sayDone();
  },
  { ...options, concurrency: 16, backoff: 50 },
);
service.stream.on('lost', () => writeSync(notes, 'lost\n'));
onStop(() => void service.close().catch(() => {}));
endWith(await Promise.allSettled([service.closed]));
