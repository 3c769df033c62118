/**
 * The web server in the README of JobQueue, as the JavaScript that it means, word for word but for the imports:
 *
 *     npx tsx samples/compat/job-queue-client.js
 *     npx tsx samples/compat/job-queue-server.js
 *     curl 'http://localhost:4000/echo?q=hello'
 *
 * The list is in the Redis that MILLRACE_URL names, by default redis://127.0.0.1:6379. In a program of your own the import is
 * require('millrace/job-queue').
 */
import * as JobQueue from '../../lib/compat/job-queue.ts';
import { express } from './express.js';

var app = express();

app.configure(function () {
  app.set("port", process.env.PORT || 4000);
});

var jobs = JobQueue.createClient();

app.get('/echo', function (req, res) {
  // queue the request
  var job = jobs.run('echo', {
    request: req.params.q
  });

  // respond to the web client when we get results back
  job = job.then(function (data) {
    res.send(data.request);
  });

  // handle any errors that might come up
  job = job.catch(function (err) {
    res.send('error! ' + JSON.stringify(err));
  });

  // clean up once everything is handled
  job.done();
});

app.listen(app.get('port'), function () {
  console.log("Listening on port " + app.get('port'));
});
