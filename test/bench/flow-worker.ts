/**
 * Pushes jobs while a process that this one starts works them off, as often as it is told to, and tells what that took from the first
 * push until the last job is settled: `flow-worker.ts <case> <url> <process id of the server, if it is known>`. The other one is
 * `… <case> <url> drain`.
 */
import type { Move } from './case.ts';
import { flows } from './flows.ts';
import { type Figures, Meter } from './meter.ts';
import { doTasks } from './tasks.ts';
import { WarmProcess } from './warm-process.ts';

const [name = '', url = '', role] = process.argv.slice(2);
const flow = flows[name];
if (!flow) throw new Error(`no such case: ${name}`);
const { push, drain } = flow;

async function workOff({ queue, count }: Move): Promise<Figures> {
  const meter = new Meter();
  await drain(url, queue, count);
  return meter.read();
}

async function move(consumer: WarmProcess<Move, Figures>, jobs: Move): Promise<Figures> {
  const meter = new Meter(role === undefined ? undefined : Number(role));
  const [other] = await Promise.all([consumer.ask(jobs), push(url, jobs.queue, jobs.count)]);
  const own = meter.read();
  return { ...own, cpu: own.cpu + other.cpu, rss: Math.max(own.rss, other.rss) };
}

if (role === 'drain') doTasks(workOff);
else {
  const consumer = await WarmProcess.start<Move, Figures>('flow-worker.ts', [name, url, 'drain']);
  doTasks((jobs: Move) => move(consumer, jobs));
}
