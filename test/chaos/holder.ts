/** A process that holds deliveries, of which it looks at some, and does as it is told. */
import { type Delivery, DeliveryStream } from '../../lib/index.ts';
import { onStop, onTold, say, settings } from './parent.ts';

interface Settings {
  readonly queue: string;
  readonly leaseTimeout: number;
  readonly consumer?: string;
  /** How many it holds, and how many of them its handlers may have seen. */
  readonly count: number;
  readonly seen: number;
}

const { queue, count, seen, ...options } = settings<Settings>();
const stream = new DeliveryStream<number>(queue, { ...options, highWaterMark: count });
const held: Delivery<number>[] = [];
stream.on('data', (delivery) => {
  if (held.length < seen) void delivery.value;
  if (held.push(delivery) === count) say({ held: count });
});
stream.on('error', ({ code }: NodeJS.ErrnoException) => say({ failed: code }));

onTold(async ({ block, ack }) => {
  if (typeof block === 'number') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, block);
  if (ack) say({ acked: await Promise.all(held.map((delivery) => delivery.ack())) });
});
// It is asked not to settle anything, and stays.
process.removeAllListeners('warning');
onStop(() => stream.destroy());
