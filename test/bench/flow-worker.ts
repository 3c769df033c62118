/**
 * Pushes jobs while a process that this one starts works them off, warm, and prints what it took from the first push until the last
 * job is settled: `flow-worker.ts <case> <url> <queue> <count> <count to warm up with> <process id of the server>`.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { flows } from './flows.ts';
import { type Figures, Meter } from './meter.ts';

/** What the other process is told to work off. */
interface Task {
  readonly queue: string;
  readonly count: number;
}

const [name = '', url = '', queue = '', count = '', warmUp = '', pid] = process.argv.slice(2);
const flow = flows[name];
if (!flow) throw new Error(`no such case: ${name}`);
const { push, drain } = flow;

/** Works off what it is told to, until who tells it is gone. */
function workOff(): void {
  process.on('disconnect', () => process.exit());
  process.on('message', async ({ queue, count }: Task) => {
    const meter = new Meter();
    await drain(url, queue, count);
    process.send?.(meter.read());
  });
  process.send?.('ready');
}

async function move(consumer: ChildProcess, task: Task): Promise<Figures> {
  const drained = once(consumer, 'message');
  const meter = new Meter(pid === undefined ? undefined : Number(pid));
  consumer.send(task);
  const [[other]] = await Promise.all([drained, push(url, task.queue, task.count)]);
  const own = meter.read();
  return { ...own, cpu: own.cpu + other.cpu, rss: Math.max(own.rss, other.rss) };
}

if (process.send) workOff();
else {
  const consumer = fork(fileURLToPath(import.meta.url), process.argv.slice(2));
  consumer.once('exit', () => process.exit(1));
  await once(consumer, 'message');
  await move(consumer, { queue: `${queue}-warm`, count: Number(warmUp) });
  const figures = await move(consumer, { queue, count: Number(count) });
  consumer.removeAllListeners('exit').disconnect();
  process.stdout.write(JSON.stringify(figures));
}
