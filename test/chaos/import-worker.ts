/** An import: it pushes all numbers, from the first on, under a name of its own, and says how many are stored. */
import { once } from 'node:events';
import { PushStream } from '../../lib/index.ts';
import { sayDone, settings } from './parent.ts';

const { queue, producer, count } = settings<{ queue: string; producer: string; count: number }>();
const stream = new PushStream<number>(queue, { producer, highWaterMark: 128 });
stream.on('pushed', sayDone);
for (let n = 0; n < count; n += 1) if (!stream.write(n)) await once(stream, 'drain');
await stream.close();
process.disconnect();
