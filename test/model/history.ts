import assert from 'node:assert/strict';
import fc from 'fast-check';
import { uniqueQueue } from '../support/brokers.ts';
import { seed } from '../support/random.ts';
import { advance, type Command, close, start } from './commands.ts';
import { type Ground, NAMES } from './ground.ts';
import { histories } from './histories.ts';
import { compareTotals, Model, type Worlds } from './state.ts';
import { World } from './world.ts';

/** The most parts of a history. */
const LENGTH = 60;

/** More than any delay, and any lease. */
const LONG = 4;

/** Has as many histories carried out as asked for, and sees that all drivers come to what the model comes to; shrinks one where not. */
export function check(
  grounds: readonly Ground[],
  runs: number,
  options: { endOnFailure?: boolean } = {},
): Promise<void> {
  const property = fc.asyncProperty(histories(LENGTH), (commands) => live(grounds, commands));
  return fc.assert(property, { seed, numRuns: runs, ...options });
}

/** A history, from an empty queue until all is settled and everybody has gone. */
async function live(grounds: readonly Ground[], commands: Iterable<Command>): Promise<void> {
  const queue = uniqueQueue();
  const worlds = await Promise.all(grounds.map((ground) => World.open(ground, queue)));
  const model = new Model();
  try {
    for (const name of NAMES.slice(0, 2)) await start(name).run(model, worlds);
    await fc.asyncModelRun(() => ({ model, real: worlds }), commands);
    await finish(model, worlds);
  } finally {
    await Promise.all(worlds.map((world) => world.end()));
  }
}

/** All that is left is had once more, in its order; and behind it nothing is left. */
async function finish(model: Model, worlds: Worlds): Promise<void> {
  while (model.living.length > 0) await close(0).run(model, worlds);
  await advance(LONG).run(model, worlds);
  for (const queue of ['jobs', 'next'] as const) await drain(model, worlds, queue);
  await compareTotals(model, worlds);
  for (const queue of ['jobs', 'next'] as const) {
    for (const world of worlds) assert.deepEqual(await world.exhume(queue), model[queue].dead, `${world.name}'s dead`);
  }
  for (const world of worlds) assert.deepEqual(await world.leave(), [], `${world.name} has left something`);
}

async function drain(model: Model, worlds: Worlds, queue: 'jobs' | 'next'): Promise<void> {
  const consumer = model[queue].start('last');
  const who = worlds.map((world) => world.participants);
  for (const world of worlds) await world.start('last', queue);
  for (;;) {
    const from = consumer.receipts.length;
    const items = model[queue].take(consumer, 100);
    for (const [i, world] of worlds.entries())
      assert.deepEqual(await world.take(who[i] as number, 100), items, world.name);
    const taken = consumer.receipts.slice(from);
    if (taken.length === 0) return;
    model[queue].settle(
      consumer,
      taken.map((receipt) => [receipt, 'ack']),
    );
    for (const [i, world] of worlds.entries()) {
      const answers = await world.settle(
        who[i] as number,
        taken.map((_, n) => [from + n, 'ack']),
      );
      assert.ok(answers.every((answer) => answer));
    }
  }
}
