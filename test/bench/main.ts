/**
 * Measures pushing, pulling, deliveries, jobs from end to end and requests beside raw ioredis and others, memory and latency, with servers of
 * its own, and the driver of Gearman beside the bare protocol: `npm run bench`. Prints Markdown. Every case has a process of its own, which
 * stays warm through the rounds of its table, and is compared with the raw one of the same round. With `--growth` it measures how cost grows
 * with the number of things, with `--profile` where the time of a client goes.
 */
import { measureAll } from './all.ts';
import { measureGrowth } from './growth.ts';
import { measureProfiles } from './profile.ts';
import { type Settings, settingsFrom } from './settings.ts';

let settings: Settings;
try {
  settings = settingsFrom(process.argv.slice(2));
} catch (error) {
  console.error((error as Error).message);
  process.exit(2);
}
const measures = { all: measureAll, growth: measureGrowth, profile: measureProfiles };
await measures[settings.what](settings);
