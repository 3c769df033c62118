/**
 * The example in the README of swarm, as the JavaScript that it means, word for word but for the import:
 *
 *     npx tsx samples/compat/swarm.js
 *
 * The queue is in the Redis that MILLRACE_URL names, by default redis://127.0.0.1:6379. In a program of your own the import is
 * require("millrace/swarm").
 */
import * as swarm from '../../lib/compat/swarm.ts';

var producer = swarm.createProducer();
var consumer = swarm.createConsumer('math');

consumer.on('add', function (items, callback) {
  var sum = 0;
  for (var item of items) sum += item;
  callback(null, sum);
});

producer.queue('math', 'add', [2, 3, 4], function (err, result) {
  if (err != null) console.log("The request failed: " + err);
  else console.log("The result was " + result);

  // So much for the example. To end:
  producer.end();
  consumer.end();
});
