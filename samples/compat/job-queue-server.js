/** The job server in the README of JobQueue, as the JavaScript that it means, word for word but for the import: see job-queue-client.js. */
import * as JobQueue from '../../lib/compat/job-queue.ts';

var jobs = JobQueue.createServer();

jobs.on('echo', function (data) { return data; });

jobs.run();

// So much for the example. To end, on Ctrl-C:
process.on('SIGINT', () => jobs.close());
