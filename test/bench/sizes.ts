import { bullMq } from './bullmq.ts';
import * as deliveries from './deliveries.ts';
import type { Extent } from './measured.ts';
import * as pulls from './pulls.ts';
import * as pushes from './pushes.ts';
import { partOf } from './run.ts';
import type { Section } from './section.ts';
import { measurePulls, measurePushes } from './throughput.ts';

/** About how many bytes the jobs have, how many of them are moved, and how many another moves where ours move one. */
const SIZES = [
  { bytes: 10, title: '10 bytes', count: 300_000, share: 1 / 20 },
  { bytes: 1000, title: '1 KB', count: 150_000, share: 1 / 10 },
  { bytes: 100_000, title: '100 KB', count: 2000, share: 1 / 2 },
];

const pushed = [pushes.RAW, pushes.BY_WRITE, bullMq.push.name];
const drained = [pulls.RAW, pulls.BY_DATA, deliveries.RAW, deliveries.BY_ACK_STREAM, bullMq.drain.name];

/** What is done with them, as the tables have it. */
const WAYS = [
  ['pushed', (extent: Extent) => measurePushes(extent, pushed)],
  ['drained', (extent: Extent) => measurePulls(extent, drained)],
] as const;

/** Pushes jobs of other sizes than the usual one, then works them off, and gives the tables of it. */
export async function measureSizes(extent: Extent): Promise<Section> {
  const texts: string[] = [];
  let least = extent.rounds.count;
  let left = SIZES.length * WAYS.length;
  for (const { title, ...size } of SIZES) {
    for (const [done, measure] of WAYS) {
      const rounds = partOf(extent.rounds, left--);
      const section = await measure({ ...extent, ...size, warmUp: size.count / 2, rounds });
      texts.push(`${size.count.toLocaleString('en')} jobs of ${title}, ${done}:`, section.text);
      least = Math.min(least, section.rounds);
    }
  }
  const note = 'Of jobs of 100 KB about 1 MiB goes together.';
  return { text: [...texts, note].join('\n\n'), rounds: least };
}
