/** Runs one case, warm, and prints what it took: `worker.ts <case> <url> <queue> <count> <count to warm up with> <process id of the server>`. */
import { cases } from './cases.ts';
import { Meter } from './meter.ts';

const [name = '', url = '', queue = '', count = '', warmUp = '', pid] = process.argv.slice(2);
const run = cases[name];
if (!run) throw new Error(`no such case: ${name}`);
await run(url, `${queue}-warm`, Number(warmUp));
const meter = new Meter(pid === undefined ? undefined : Number(pid));
await run(url, queue, Number(count));
process.stdout.write(JSON.stringify(meter.read()));
