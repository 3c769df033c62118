/** Runs one case at one size, warm, and prints what it took: `growth-worker.ts <case> <url> <size> <count> <size to warm up with>`. */
import { growthCases } from './growth-cases.ts';
import type { GrowthFigures } from './growth-report.ts';

const [name = '', url = '', size = '', count = '', warmSize = ''] = process.argv.slice(2);
const run = growthCases[name];
if (!run) throw new Error(`no such case: ${name}`);
await run(url, 'warm', Number(warmSize), Number(count));
const figures: GrowthFigures = {
  ...(await run(url, 'growth', Number(size), Number(count))),
  rss: process.resourceUsage().maxRSS / 1024,
};
process.stdout.write(JSON.stringify(figures));
