/**
 * The example in the README of pushpull, word for word but for the import:
 *
 *     npx tsx samples/compat/pushpull.js
 *
 * The queue is in the Redis that MILLRACE_URL names, by default redis://127.0.0.1:6379. In a program of your own the import is
 * require("millrace/pushpull").
 */
import { Pull, Push } from '../../lib/compat/pushpull.ts';

var options = { queue: 'sample_queue' };

// Worker

var worker = new Pull(options);
worker.on("data", function (data) {
  // do something with data
});

// Sender

var sender = new Push(options);
sender.emit("data", {"some": "data"});

// So much for the example. To see it work, and end:
sender.on('pushed', (data) => console.log('pushed', data));
worker.on('data', (data) => {
  console.log('pulled', data);
  worker.end();
  sender.end();
});
