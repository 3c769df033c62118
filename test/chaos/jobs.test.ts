import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PushStream } from '../../lib/index.ts';
import { seed } from '../support/random.ts';
import { numbers } from '../support/streams.ts';
import { Chaos, type Worker } from './chaos.ts';
import { eachOnce } from './each-once.ts';
import { leftovers } from './leftovers.ts';
import { scale } from './scale.ts';

const { plan } = scale;
const troubles =
  `${plan.cuts} cuts, ${plan.serverKills} kills of the server, ${plan.workerKills} of workers and ${plan.takeovers} ` +
  `takeovers (seed ${seed})`;

const WORKERS = 3;

/** So long that nobody who lives loses it, on a busy machine and while the server restarts. */
const leaseTimeout = 4000;

/** Disturbs workers, for whom numbers are pushed all the while: gives how many, `least` or more. */
async function disturb(chaos: Chaos, queue: string, least: number): Promise<number> {
  const stream = new PushStream(queue, { connection: chaos.server.url, maxLength: 2000 });
  let isOver = false;
  let count = 0;
  const produce = async (): Promise<void> => {
    for (; count < least || !isOver; count += 1) if (!stream.write(count)) await once(stream, 'drain');
    await stream.close();
  };
  const disturbing = chaos.disturb(plan, least).then(() => {
    isOver = true;
  });
  try {
    await Promise.all([produce(), disturbing]);
  } finally {
    stream.destroy();
  }
  await chaos.end();
  return count;
}

/** What a worker has noted. */
async function notesOf(file: string): Promise<{ jobs: number[]; hasLost: boolean }> {
  const lines = (await readFile(file, 'utf8').catch(() => '')).trim().split('\n').filter(Boolean);
  return { jobs: lines.filter((line) => line !== 'lost').map(Number), hasLost: lines.includes('lost') };
}

describe('chaos (redis)', function () {
  this.timeout(0);
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'millrace-chaos-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it(`loses none of ${scale.jobs} jobs and more, and doubles none but what was unsettled at a kill, over ${troubles}`, async () => {
    const fileOf = (number: number): string => join(folder, `${number}.jobs`);
    const settingsOf = (number: number) => ({ queue: 'jobs', file: fileOf(number), leaseTimeout });
    await using chaos = await Chaos.start({ queues: ['jobs'], script: 'jobs-worker.ts', settingsOf });
    for (let n = 0; n < WORKERS; n += 1) chaos.startWorker();
    const count = await disturb(chaos, 'jobs', scale.jobs);

    const doers: Worker[][] = numbers(count).map(() => []);
    for (const [number, worker] of chaos.workers.entries()) {
      const { jobs, hasLost } = await notesOf(fileOf(number));
      assert.ok(!hasLost || worker.held !== undefined, `a worker that lives has lost its lease; ${chaos}`);
      assert.equal(new Set(jobs).size, jobs.length, `a worker has done a job twice; ${chaos}`);
      for (const job of jobs) doers[job]?.push(worker);
    }
    const lost = numbers(count).filter((job) => doers[job]?.length === 0);
    assert.equal(lost.length, 0, `${lost.length} are lost: ${lost.slice(0, 10)}…; ${chaos}`);
    // Who does a job that was done before has it from one that was killed before it could say so.
    const wrong = doers.filter((all) => all.filter(({ held }) => held !== undefined).length < all.length - 1);
    assert.equal(wrong.length, 0, `${wrong.length} are doubled without a reason; ${chaos}`);
    const doubled = doers.reduce((sum, all) => sum + all.length - 1, 0);
    const unsettled = chaos.workers.reduce((sum, { held }) => sum + (held ?? 0), 0);
    assert.ok(doubled <= unsettled, `${doubled} are doubled, ${unsettled} were unsettled; ${chaos}`);
    assert.deepEqual(await leftovers(chaos.client), []);
  });

  it(`carries ${scale.hops} numbers and more over two hops, and none is missing or doubled, over ${troubles}`, async () => {
    const settingsOf = () => ({ queues: ['a', 'b', 'c'], leaseTimeout });
    await using chaos = await Chaos.start({ queues: ['a', 'b'], script: 'hops-worker.ts', settingsOf });
    for (let n = 0; n < WORKERS; n += 1) chaos.startWorker();
    const count = await disturb(chaos, 'a', scale.hops);

    const arrived = (await chaos.client.lrange('c', 0, -1)).map(Number);
    eachOnce(arrived, numbers(count, 2), `(${chaos})`);
    assert.deepEqual(await leftovers(chaos.client), ['c']);
  });
});
