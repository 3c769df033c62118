/**
 * The example in the README of reqrep, word for word but for the import:
 *
 *     npx tsx samples/compat/reqrep.js
 *
 * The lists are in the Redis that MILLRACE_URL names, by default redis://127.0.0.1:6379. In a program of your own the import is
 * require("millrace/reqrep").
 */
import { Reply, Request } from '../../lib/compat/reqrep.ts';

var options = { queue: 'sample_queue', onJob };
var replies = 0;

// Workers

function onJob (data, cb) {
  // Received job's data
  console.log("Received job", this._internalId);
  // Send result:
  cb(null, 42);
}

var worker1 = new Reply(options);
worker1._internalId = "worker1";

var worker2 = new Reply(options);
worker2._internalId = "worker2";


// Schedulers

var sender = new Request(options);

for (var i = 0; i < 20; i++) {
  sender.send({"someData": i}, function (err, reply) {
    // …
    // So much for the example. To see it work, and end:
    console.log('Received reply', err, reply);
    replies += 1;
    if (replies === 20) for (const one of [sender, worker1, worker2]) one.end();
  });
}
