/**
 * Measures pushing, pulling, deliveries, jobs from end to end and requests beside raw ioredis and others, memory and latency, with servers of its own, and the
 * driver of Gearman beside the bare protocol: `npm run bench`. Prints Markdown. Every case runs in a process of its own, in rounds, and is compared with the raw one of the same round.
 */
import { measureAll } from './all.ts';
import { type Settings, settingsFrom } from './settings.ts';

let settings: Settings;
try {
  settings = settingsFrom(process.argv.slice(2));
} catch (error) {
  console.error((error as Error).message);
  process.exit(2);
}
await measureAll(settings);
