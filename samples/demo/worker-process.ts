/**
 * What runs in a worker's own process: `worker-process.ts <queue>`. It stops when its parent tells it to. When the parent is gone it
 * quits at once: what it has in hand is not lost by that.
 */
import { connect } from '../../lib/index.ts';
import { startWorker } from './workers.ts';

const [queue = ''] = process.argv.slice(2);
// As long as there is no worker there is nothing to finish.
let stop = (): void => process.exit();
process.on('message', () => stop());
process.on('disconnect', () => process.exit());
if (!process.connected) process.exit();

const connection = connect();
await connection.ready;
const worker = startWorker(queue, connection);
stop = worker.stop;
await worker.ended;
process.disconnect();
