/** Runs one case, warm, under the profiler, and prints where the time went: `profile-worker.ts <case> <url> <queue> <count> <count to warm up with>`. */
import { Session } from 'node:inspector/promises';
import { makeJsonVisible } from './profile-json.ts';
import { sharesOf } from './profile-sum.ts';

/** Between two looks at what is run, in microseconds. */
const INTERVAL = 200;

const [name = '', url = '', queue = '', count = '', warmUp = ''] = process.argv.slice(2);
const print = JSON.stringify;
makeJsonVisible();
const { cases } = await import('./cases.ts');
const run = cases[name];
if (!run) throw new Error(`no such case: ${name}`);
await run(url, `${queue}-warm`, Number(warmUp));
const session = new Session();
session.connect();
await session.post('Profiler.enable');
await session.post('Profiler.setSamplingInterval', { interval: INTERVAL });
await session.post('Profiler.start');
await run(url, queue, Number(count));
const { profile } = await session.post('Profiler.stop');
process.stdout.write(print(sharesOf(profile)));
