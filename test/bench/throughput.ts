import { brokerOf, clearFor, peerOf } from './all-peers.ts';
import { bullMq } from './bullmq.ts';
import * as draining from './deliveries.ts';
import * as hopping from './hops.ts';
import { aimOf, argumentsFor, type Extent, measure, sectionOf, TO_BULLMQ } from './measured.ts';
import type { Figures } from './meter.ts';
import * as pulling from './pulls.ts';
import * as pushing from './pushes.ts';
import { run } from './run.ts';
import type { Section } from './section.ts';

const QUEUE = 'bench';
const WARM_QUEUE = `${QUEUE}-warm`;
const SOURCE = 'source';

/** Pushes jobs in each of these ways, and gives the table of it. */
export async function measurePushes(extent: Extent, names = Object.keys(pushing.pushes)): Promise<Section> {
  const redis = extent.server.client();
  const measured = await measure('push', extent, names, async (name, count) => {
    await redis.flushall();
    await clearFor(name, extent, [QUEUE, WARM_QUEUE]);
    const figures = await runCase(extent, name, QUEUE);
    const { url = '' } = brokerOf(name, extent) ?? {};
    const stored = (await peerOf(name)?.waiting(redis, QUEUE, url)) ?? (await redis.llen(QUEUE));
    if (stored !== count) throw new Error(`${name} stored ${stored} jobs of ${count}`);
    return figures;
  });
  const bases = [
    { name: pushing.RAW, title: 'to raw' },
    { name: pushing.RAW_ONCE, title: 'to numbered' },
    { name: bullMq.push.name, title: TO_BULLMQ },
  ];
  const given = bases.filter(({ name }) => names.includes(name));
  return sectionOf(extent, names, measured, given);
}

/** Pulls jobs in each of these ways, and gives the table of it. */
export async function measurePulls(extent: Extent, names = Object.keys(pulling.pulls)): Promise<Section> {
  await fillSource(extent);
  const measured = await measure('pull', extent, names, async (name) => {
    await fillFor(extent, name);
    const figures = await runCase(extent, name, QUEUE);
    await checkNothingLeft(extent, name);
    return figures;
  });
  const bases = [
    { name: pulling.RAW, title: 'to raw' },
    { name: bullMq.drain.name, title: TO_BULLMQ },
  ];
  return sectionOf(extent, names, measured, bases);
}

/** Has handlers work through a full queue in every way, and gives the table of it, and what was reached of what is aimed at. */
export async function measureDeliveries(extent: Extent): Promise<Section> {
  const redis = extent.server.client();
  await fillSource(extent);
  const measured = await measure('deliveries', extent, Object.keys(draining.deliveries), async (name, count) => {
    await fillFor(extent, name);
    await redis.del(`{${QUEUE}}:marks`);
    const figures = await runCase(extent, name, QUEUE);
    await checkNothingLeft(extent, name);
    const settled = Number(await redis.hget(`{${QUEUE}}:marks`, 'settled'));
    if (!peerOf(name) && settled !== count) throw new Error(`${name} settled ${settled} jobs of ${count}`);
    return figures;
  });
  const toRaw = { name: draining.RAW, title: 'to raw' };
  const toPeer = { name: bullMq.drain.name, title: TO_BULLMQ };
  const ours = Object.keys(draining.deliveries).filter((name) => name !== toRaw.name && !peerOf(name));
  const aims = [aimOf(measured, ours, toRaw, 0.85), aimOf(measured, ours, toPeer, 15)];
  const section = sectionOf(extent, Object.keys(draining.deliveries), measured, [toRaw, toPeer]);
  return { ...section, text: `${section.text}\n\n${aims.join('\n')}` };
}

/** Moves jobs from one queue to another in every way, a handler between them, and gives the table of it. */
export async function measureHops(extent: Extent): Promise<Section> {
  const redis = extent.server.client();
  const results = hopping.resultsOf(QUEUE);
  await fillSource(extent);
  const measured = await measure('hops', extent, Object.keys(hopping.hops), async (name, count) => {
    await redis.del(results, hopping.resultsOf(WARM_QUEUE));
    await copySource(extent);
    const figures = await runCase(extent, name, QUEUE);
    await checkNothingLeft(extent, name);
    const stored = await redis.llen(results);
    if (stored !== count) throw new Error(`${name} stored ${stored} results of ${count}`);
    return figures;
  });
  return sectionOf(extent, Object.keys(hopping.hops), measured, [{ name: hopping.RAW, title: 'to raw' }]);
}

function runCase(extent: Extent, name: string, queue: string): Promise<Figures> {
  const { bytes } = extent;
  return run<Figures>('worker.ts', argumentsFor(extent, name, queue), bytes === undefined ? {} : { bytes });
}

/** Stores jobs, those to warm up with and those to be measured with, which every run gets a copy of. */
async function fillSource(extent: Extent): Promise<void> {
  await extent.server.client().flushall();
  await runCase(extent, pushing.RAW, SOURCE);
}

/** Gives a case what it is to work through: a copy of the source, or what a peer has stored in a way of its own. */
async function fillFor(extent: Extent, name: string): Promise<void> {
  const peer = peerOf(name);
  await extent.server.client().unlink(QUEUE, WARM_QUEUE);
  await clearFor(name, extent, [QUEUE, WARM_QUEUE]);
  if (peer) await runCase(extent, peer.push.name, QUEUE);
  else await copySource(extent);
}

async function copySource({ server }: Extent): Promise<void> {
  const redis = server.client();
  await redis.copy(SOURCE, QUEUE, 'REPLACE');
  await redis.copy(`${SOURCE}-warm`, WARM_QUEUE, 'REPLACE');
}

async function checkNothingLeft(extent: Extent, name: string): Promise<void> {
  const redis = extent.server.client();
  const peer = peerOf(name);
  const { url = '' } = brokerOf(name, extent) ?? {};
  const left = peer
    ? (await peer.waiting(redis, QUEUE, url)) + (await peer.waiting(redis, WARM_QUEUE, url))
    : await redis.exists(QUEUE, WARM_QUEUE, `{${QUEUE}}:again`);
  if (left > 0) throw new Error(`${name} left jobs behind`);
}
