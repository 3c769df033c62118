/** Runs one case, warm, and prints what it took: `worker.ts <case> <url> <queue> <count> <count to warm up with>`. */
import { cases } from './cases.ts';
import type { Figures } from './throughput.ts';

const [name = '', url = '', queue = '', count = '', warmUp = ''] = process.argv.slice(2);
const run = cases[name];
if (!run) throw new Error(`no such case: ${name}`);
await run(url, `${queue}-warm`, Number(warmUp));
const cpu = process.cpuUsage();
const start = performance.now();
await run(url, queue, Number(count));
const seconds = (performance.now() - start) / 1000;
const { user, system } = process.cpuUsage(cpu);
const figures: Figures = { seconds, cpu: (user + system) / 1e6, rss: process.resourceUsage().maxRSS / 1024 };
process.stdout.write(JSON.stringify(figures));
