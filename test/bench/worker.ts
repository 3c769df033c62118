/** Runs one case, as often as it is told to: `worker.ts <case> <url> <process id of the server, if it is known>`. */
import { type Move, useBytes } from './case.ts';
import { cases } from './cases.ts';
import { Meter } from './meter.ts';
import { doTasks } from './tasks.ts';

const [name = '', url = '', pid] = process.argv.slice(2);
const run = cases[name];
if (!run) throw new Error(`no such case: ${name}`);
doTasks(async ({ queue, count, bytes }: Move) => {
  useBytes(bytes);
  const meter = new Meter(pid === undefined ? undefined : Number(pid));
  await run(url, queue, count);
  return meter.read();
});
