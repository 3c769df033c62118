import { clearFor } from './all-peers.ts';
import { bullMq } from './bullmq.ts';
import { DELIVERED, flows, PULLED, RAW, RAW_DELIVERIES } from './flows.ts';
import { aimOf, type Extent, measure, sectionOf, startProcesses, TO_BULLMQ } from './measured.ts';
import type { Section } from './section.ts';
import { zeroMq } from './zeromq.ts';

const QUEUE = 'flow';

/** Has a process push jobs while another works them off, in every way, and gives the table of it, and what was reached of what is aimed at. */
export async function measureFlows(extent: Extent): Promise<Section> {
  const redis = extent.server.client();
  const names = Object.keys(flows);
  await using processes = await startProcesses('flow-worker.ts', extent, names);
  const measured = await measure('end to end', extent, names, async (name, count) => {
    await redis.flushall();
    await clearFor(name, extent, QUEUE);
    const figures = await processes.ask(name, { queue: QUEUE, count });
    if ((await redis.exists(QUEUE, `{${QUEUE}}:again`)) > 0) throw new Error(`${name} left jobs behind`);
    return figures;
  });
  const toBullMq = { name: bullMq.flow?.name ?? '', title: TO_BULLMQ };
  const toZeroMq = { name: zeroMq.flow.name, title: 'to ZeroMQ' };
  const toRaw = [
    { name: RAW, title: 'to raw' },
    { name: RAW_DELIVERIES, title: 'to raw scripts' },
  ];
  const section = sectionOf(extent, names, measured, [...toRaw, toBullMq, toZeroMq]);
  const ours = [PULLED, DELIVERED];
  const aims = [aimOf(measured, ours, toBullMq, 35), aimOf(measured, ours, toZeroMq, 1.5)];
  const note =
    'From the first push until the last job is settled; the settings are those of the tables above. CPU time is that of both processes, memory of the larger.';
  return { ...section, text: [section.text, note, aims.join('\n')].join('\n\n') };
}
