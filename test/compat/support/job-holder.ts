/** A server of JobQueue, in a process of its own, that begins jobs and never ends them. */
import { createServer } from '../../../lib/compat/job-queue.ts';
import { onStop, say, settings } from '../../chaos/parent.ts';

const server = createServer(settings<{ queue: string; consumer: string }>());
server.on('job', (data) => {
  say({ begun: data });
  return new Promise(() => {});
});
server.run();
onStop(() => process.exit());
