/** Runs one case in a process of its own, and prints what it took: `worker.ts <case> <url> <queue> <count>`. */
import { cases } from './cases.ts';

const [name = '', url = '', queue = '', count = ''] = process.argv.slice(2);
const run = cases[name];
if (!run) throw new Error(`no such case: ${name}`);
// The connection and the compiler's first steps are no part of the figure.
await run(url, `${queue}-warm`, 20_000);
const cpu = process.cpuUsage();
const start = performance.now();
await run(url, queue, Number(count));
const seconds = (performance.now() - start) / 1000;
const { user, system } = process.cpuUsage(cpu);
process.stdout.write(
  `${JSON.stringify({ seconds, cpu: (user + system) / 1e6, rss: process.resourceUsage().maxRSS / 1024 })}\n`,
);
