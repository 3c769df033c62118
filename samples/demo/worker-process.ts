/** What runs in a worker's own process: `worker-process.ts <queue>`. It stops when its parent disconnects, or is gone. */
import { connect } from '../../lib/index.ts';
import { startWorker } from './workers.ts';

const [queue = ''] = process.argv.slice(2);
// As long as there is no worker there is nothing to finish.
let stop = (): void => process.exit();
process.once('disconnect', () => stop());
if (!process.connected) stop();

const connection = connect();
await connection.ready;
const worker = startWorker(queue, connection);
stop = worker.stop;
await worker.ended;
