/** A worker that dies of one number, and carries all others to another queue. */
import { work } from '../../lib/index.ts';
import { nextTurn } from '../support/streams.ts';
import { onStop, settings } from './parent.ts';

const { queue, to, poison, ...options } = settings<{ queue: string; to: string; poison: number }>();

const service = work<number>(
  queue,
  async (n) => {
    if (n === poison) process.kill(process.pid, 'SIGKILL');
    await nextTurn();
    return n;
  },
  { ...options, to, concurrency: 4 },
);
onStop(() => void service.close());
await service.closed;
