import { brokerOf, clearFor, peerOf } from './all-peers.ts';
import { bullMq } from './bullmq.ts';
import { type Move, useBytes } from './case.ts';
import * as draining from './deliveries.ts';
import * as hopping from './hops.ts';
import { aimOf, type Extent, measure, sectionOf, startProcesses, TO_BULLMQ } from './measured.ts';
import * as pulling from './pulls.ts';
import * as pushing from './pushes.ts';
import { TIME_LIMIT } from './run.ts';
import type { Section } from './section.ts';
import { within } from './within.ts';

const QUEUE = 'bench';
const SOURCE = 'source';
const WORKER = 'worker.ts';

/** Pushes jobs in each of these ways, and gives the table of it. */
export async function measurePushes(extent: Extent, names = Object.keys(pushing.pushes)): Promise<Section> {
  const redis = extent.server.client();
  await using processes = await startProcesses(WORKER, extent, names);
  const measured = await measure('push', extent, names, async (name, count) => {
    await redis.flushall();
    await clearFor(name, extent, QUEUE);
    const figures = await processes.ask(name, moveOf(extent, count));
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
  await using processes = await startProcesses(WORKER, extent, names);
  await fillSource(extent);
  const measured = await measure('pull', extent, names, async (name, count) => {
    await fillFor(extent, name, count);
    const figures = await processes.ask(name, moveOf(extent, count));
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
  const names = Object.keys(draining.deliveries);
  await using processes = await startProcesses(WORKER, extent, names);
  await fillSource(extent);
  const measured = await measure('deliveries', extent, names, async (name, count) => {
    await fillFor(extent, name, count);
    await redis.del(`{${QUEUE}}:marks`);
    const figures = await processes.ask(name, moveOf(extent, count));
    await checkNothingLeft(extent, name);
    const settled = Number(await redis.hget(`{${QUEUE}}:marks`, 'settled'));
    if (!peerOf(name) && settled !== count) throw new Error(`${name} settled ${settled} jobs of ${count}`);
    return figures;
  });
  const toRaw = { name: draining.RAW, title: 'to raw' };
  const toPeer = { name: bullMq.drain.name, title: TO_BULLMQ };
  const ours = names.filter((name) => name !== toRaw.name && !peerOf(name));
  const aims = [aimOf(measured, ours, toRaw, 0.85), aimOf(measured, ours, toPeer, 15)];
  const section = sectionOf(extent, names, measured, [toRaw, toPeer]);
  return { ...section, text: `${section.text}\n\n${aims.join('\n')}` };
}

/** Moves jobs from one queue to another in every way, a handler between them, and gives the table of it. */
export async function measureHops(extent: Extent): Promise<Section> {
  const redis = extent.server.client();
  const results = hopping.resultsOf(QUEUE);
  const names = Object.keys(hopping.hops);
  await using processes = await startProcesses(WORKER, extent, names);
  await fillSource(extent);
  const measured = await measure('hops', extent, names, async (name, count) => {
    await redis.del(results);
    await copySource(extent, count);
    const figures = await processes.ask(name, moveOf(extent, count));
    await checkNothingLeft(extent, name);
    const stored = await redis.llen(results);
    if (stored !== count) throw new Error(`${name} stored ${stored} results of ${count}`);
    return figures;
  });
  return sectionOf(extent, names, measured, [{ name: hopping.RAW, title: 'to raw' }]);
}

function moveOf({ bytes }: Extent, count: number): Move {
  return { queue: QUEUE, count, bytes };
}

/** Stores as many jobs as any run takes: each gets a copy of them. */
async function fillSource({ server, bytes, count, warmUp }: Extent): Promise<void> {
  await server.client().flushall();
  useBytes(bytes);
  await within(TIME_LIMIT, pushing.RAW, pushing.pushRaw(server.url, SOURCE, Math.max(count, warmUp)));
}

/** Gives a case what it is to work through: a copy of the source, or what a peer stores in a way of its own. */
async function fillFor(extent: Extent, name: string, count: number): Promise<void> {
  const peer = peerOf(name);
  await extent.server.client().unlink(QUEUE);
  await clearFor(name, extent, QUEUE);
  useBytes(extent.bytes);
  const url = brokerOf(name, extent)?.url ?? '';
  if (peer) await within(TIME_LIMIT, peer.push.name, peer.push.run(url, QUEUE, count));
  else await copySource(extent, count);
}

/** The first that were stored are the last of the list. */
async function copySource({ server }: Extent, count: number): Promise<void> {
  const redis = server.client();
  await redis.copy(SOURCE, QUEUE, 'REPLACE');
  await redis.ltrim(QUEUE, -count, -1);
}

async function checkNothingLeft(extent: Extent, name: string): Promise<void> {
  const redis = extent.server.client();
  const peer = peerOf(name);
  const { url = '' } = brokerOf(name, extent) ?? {};
  const left = peer ? await peer.waiting(redis, QUEUE, url) : await redis.exists(QUEUE, `{${QUEUE}}:again`);
  if (left > 0) throw new Error(`${name} left jobs behind`);
}
