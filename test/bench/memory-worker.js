/**
 * Pushes jobs as fast as it can, or pulls them slowly, and prints what that took: `memory-worker.js push|pull <url> <queue>
 * <count>`. Plain JavaScript, for a loader's memory would be in the figure.
 */
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { connect, PullStream, PushStream } from 'millrace';

const [work, url, queue, count] = process.argv.slice(2);
const total = Number(count);
const connection = connect(url);

/** MB that are resident now, and when a tenth of the jobs had been worked on. */
const resident = () => process.memoryUsage.rss() / 1024 / 1024;
let early = 0;

/** Looks at the memory when a tenth is done: by then all that is used over and over is there. */
function note(done) {
  if (done === Math.ceil(total / 10)) early = resident();
}

async function push() {
  const jobs = function* () {
    for (let id = 0; id < total; id += 1) {
      note(id + 1);
      yield { id, file: `/var/uploads/2026/11/20/${id}.jpeg`, width: 640 };
    }
  };
  await pipeline(jobs, new PushStream(queue, { connection }));
}

/** Takes each job in a turn of the event loop of its own, and rests for a millisecond now and then. */
async function pull() {
  let next = 0;
  await new Promise((resolve, reject) => {
    const slow = new Writable({
      objectMode: true,
      write({ id }, _encoding, callback) {
        if (id !== next) reject(new Error(`job ${id} came instead of ${next}`));
        next += 1;
        note(next);
        if (next === total) resolve();
        if (next % 64 === 0) setTimeout(callback, 1);
        else setImmediate(callback);
      },
    });
    new PullStream(queue, { connection }).pipe(slow);
  });
}

const loaded = resident();
const start = performance.now();
await { push, pull }[work]();
const seconds = (performance.now() - start) / 1000;
await connection.close();
process.stdout.write(JSON.stringify({ seconds, loaded, early, rss: process.resourceUsage().maxRSS / 1024 }));
