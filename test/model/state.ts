import assert from 'node:assert/strict';
import { heldBy, type ModelConsumer, ModelQueue, type Receipt } from './model.ts';
import type { World } from './world.ts';

/** The state of a history: what must be. */
export class Model {
  readonly jobs = new ModelQueue();
  readonly next = new ModelQueue();
  /** What the producer with a name has sent, from its first item on. */
  readonly imported: string[] = [];

  /** Who still says something: the living, and those who are fenced off and may not know. By number. */
  get talking(): number[] {
    return whoOf(this.jobs, ({ state }) => state === 'live' || state === 'fenced');
  }

  /** Who of them has taken what it has not settled. */
  get owing(): number[] {
    return this.talking.filter((who) => unsaid(this.consumer(who)).length > 0);
  }

  /** Who holds what it has not handed over. */
  get holding(): number[] {
    return this.living.filter((who) => unhanded(this.consumer(who)).length > 0);
  }

  get living(): number[] {
    return whoOf(this.jobs, ({ state }) => state === 'live');
  }

  get queues(): ModelQueue[] {
    return [this.jobs, this.next];
  }

  consumer(who: number): ModelConsumer {
    return this.jobs.consumers[who] as ModelConsumer;
  }
}

function whoOf({ consumers }: ModelQueue, test: (consumer: ModelConsumer) => boolean): number[] {
  return consumers.flatMap((consumer, who) => (test(consumer) ? who : []));
}

/** What is compared: each command is carried out by the model and by all of these. */
export type Worlds = readonly World[];

/** Asks every driver, and sees that each answers as the model does, and is in the same state. */
export async function compare<Answer>(
  model: Model,
  worlds: Worlds,
  expected: Answer,
  ask: (world: World) => Promise<Answer>,
): Promise<void> {
  const answers = await Promise.all(worlds.map(ask));
  for (const [i, world] of worlds.entries()) assert.deepEqual(answers[i], expected, `${world.name} answers otherwise`);
  await compareTotals(model, worlds);
}

export async function compareTotals({ queues }: Model, worlds: Worlds): Promise<void> {
  const expected = queues.map((queue) => queue.totals());
  for (const world of worlds) {
    const totals = await world.totals();
    for (const { pushed, settled, waiting, delayed, inProcess } of totals) {
      assert.equal(pushed, settled + waiting + delayed + inProcess, `${world.name} has lost or doubled something`);
    }
    assert.deepEqual(totals, expected, `${world.name} has come to something else`);
  }
}

/** One of some consumers: by a number of any size, or by its name; nothing if there is none. */
export function pick(model: Model, some: readonly number[], who: number | string): number | undefined {
  if (typeof who === 'number') return some[who % some.length];
  return some.find((one) => model.consumer(one).name === who);
}

/** Different ones of some, by numbers of any size. */
export function pickSome<T>(some: readonly T[], numbers: readonly number[]): T[] {
  const rest = [...some];
  return numbers.flatMap((number) => rest.splice(number % Math.max(1, rest.length), 1));
}

export const unhanded = (consumer: ModelConsumer): Receipt[] => heldBy(consumer).filter(({ isHanded }) => !isHanded);

export const unsaid = ({ receipts }: ModelConsumer): Receipt[] => receipts.filter(({ isSaid }) => !isSaid);
