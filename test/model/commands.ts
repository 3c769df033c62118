import type { AsyncCommand } from 'fast-check';
import { DELAYS, type Delay, heldBy, type Receipt, type Verb } from './model.ts';
import { compare, type Model, pick, pickSome, unhanded, unsaid, type Worlds } from './state.ts';
import type { World } from './world.ts';

/** A part of a history. */
export type Command = AsyncCommand<Model, Worlds>;

/** A part of a history, as the model and a driver carry it out. */
interface Act<Answer> {
  readonly model: () => Answer;
  readonly world: (world: World) => Promise<Answer>;
}

/**
 * A command that says what it was made with. `plan` finds out, without changing anything, what it comes to in a state of the model;
 * nothing where it can't be.
 */
function command<Answer>(text: string, plan: (model: Model) => Act<Answer> | undefined): Command {
  return {
    check: (model) => plan(model) !== undefined,
    run: async (model, worlds) => {
      const act = plan(model);
      if (!act) return;
      await compare(model, worlds, act.model(), act.world);
    },
    toString: () => text,
  };
}

/** The same, with its answer lost on the way, if it `isLossy`. */
function lossy<Answer>(isLossy: boolean, who: number | 'pusher', act: Act<Answer>): Act<Answer> {
  return isLossy ? { ...act, world: (world) => world.losing(who, () => act.world(world)) } : act;
}

export function push(bodies: readonly string[], side: 'left' | 'right', delay: Delay, isLossy = false): Command {
  return command(`push(${JSON.stringify(bodies)}, ${side}, ${delay}${lost(isLossy)})`, ({ jobs }) =>
    lossy(isLossy, 'pusher', {
      model: () => {
        jobs.push(bodies, side, DELAYS[delay]);
        return true;
      },
      world: (world) => world.push(bodies, side, DELAYS[delay]),
    }),
  );
}

/** The producer with a name begins anew, from its first item on, and comes further than before. */
export function rerun(more: readonly string[], batch: number, isLossy: boolean): Command {
  return command(`rerun(${JSON.stringify(more)}, ${batch}${lost(isLossy)})`, ({ jobs, imported }) => {
    const all = [...imported, ...more];
    return lossy(isLossy, 'pusher', {
      model: () => {
        imported.push(...more);
        jobs.push(more, 'left', 0);
        return new Array<boolean>(Math.ceil(all.length / batch)).fill(true);
      },
      world: (world) => world.import(all, batch),
    });
  });
}

/** Somebody starts: also in place of one who has crashed, or who still lives. */
export function start(name: string, isLossy = false): Command {
  return command(`start(${name}${lost(isLossy)})`, ({ jobs }) => ({
    model: () => void jobs.start(name),
    world: (world) => world.start(name, 'jobs', isLossy),
  }));
}

export function take(who: number | string, max: number, isLossy = false): Command {
  return command(`take(${who}, ${max}${lost(isLossy)})`, (model) => {
    const taker = pick(model, model.talking, who);
    if (taker === undefined || model.jobs.isUntold(model.consumer(taker))) return undefined;
    return lossy(isLossy, taker, {
      model: () => model.jobs.take(model.consumer(taker), max),
      world: (world) => world.take(taker, max),
    });
  });
}

/** Somebody waits at an empty queue, and gets the first of what is pushed then, of which he may hand over one. */
export function wait(who: number, max: number, bodies: readonly string[], hands: boolean, isLossy: boolean): Command {
  return command(`wait(${who}, ${max}, ${JSON.stringify(bodies)}, ${hands}${lost(isLossy)})`, (model) => {
    const { jobs } = model;
    const taker = waiter(model, who);
    if (taker === undefined) return undefined;
    const consumer = model.consumer(taker);
    // A driver may count what was taken before as handed over, too.
    const isInOrder = hands && heldBy(consumer).every(({ isHanded }) => isHanded);
    return {
      model: () => {
        jobs.push(bodies, 'left', 0);
        const before = consumer.receipts.length;
        const got = jobs.take(consumer, max);
        if (isInOrder) for (const receipt of consumer.receipts.slice(before, before + 1)) receipt.isHanded = true;
        return got;
      },
      world: (world) => world.wait(taker, max, bodies, isInOrder, isLossy),
    };
  });
}

/** Somebody acknowledges one item after the other as it comes, and waits for the next, which is pushed at that moment. */
export function serve(who: number, bodies: readonly string[], isLossy: boolean): Command {
  return command(`serve(${who}, ${JSON.stringify(bodies)}${lost(isLossy)})`, (model) => {
    const { jobs } = model;
    const server = waiter(model, who);
    if (server === undefined || !heldBy(model.consumer(server)).every(({ isHanded }) => isHanded)) return undefined;
    const consumer = model.consumer(server);
    return {
      model: () =>
        bodies.flatMap((body) => {
          jobs.push([body], 'left', 0);
          const got = jobs.take(consumer, 1);
          const receipt = consumer.receipts.at(-1) as Receipt;
          receipt.isHanded = true;
          return [...got, ...jobs.settle(consumer, [[receipt, 'ack']])];
        }),
      world: (world) => world.serve(server, bodies, isLossy),
    };
  });
}

/** Somebody waits at an empty queue, and dies as the first of what is pushed then comes to him. */
export function dieWaiting(who: number, bodies: readonly string[]): Command {
  return command(`dieWaiting(${who}, ${JSON.stringify(bodies)})`, (model) => {
    const { jobs } = model;
    const taker = waiter(model, who);
    if (taker === undefined || jobs.isEnding) return undefined;
    return {
      model: () => {
        jobs.push(bodies, 'left', 0);
        jobs.take(model.consumer(taker), 1);
        jobs.fail(model.consumer(taker), 'crashed');
      },
      world: (world) => world.dieWaiting(taker, bodies),
    };
  });
}

/** Who can wait at the queue: nothing is there to be had, nor does he hold what he must have alone. */
function waiter(model: Model, who: number): number | undefined {
  const { jobs } = model;
  const taker = pick(model, model.living, who);
  if (taker === undefined || jobs.list.length + jobs.again.length > 0) return undefined;
  const consumer = model.consumer(taker);
  return jobs.isUntold(consumer) || heldBy(consumer).some(({ isAlone }) => isAlone) ? undefined : taker;
}

/** How many items a consumer hands over in its life. */
const FEW = 8;

/** Hands over the next of what somebody holds, in order. */
export function handOver(who: number | string, count: number): Command {
  return command(`handOver(${who}, ${count})`, (model) => {
    const holder = pick(model, model.holding, who);
    if (holder === undefined) return undefined;
    const { receipts } = model.consumer(holder);
    const handed = unhanded(model.consumer(holder)).slice(0, count);
    // A driver may charge more than that to who hands many over at once.
    if (receipts.filter(({ isHanded }) => isHanded).length + handed.length > FEW) return undefined;
    return {
      model: () => {
        for (const receipt of handed) receipt.isHanded = true;
      },
      world: (world) => world.handOver(holder, indexesOf(handed, receipts)),
    };
  });
}

/** Settles some in one turn. */
export function settle(
  who: number | string,
  said: readonly (readonly [item: number, verb: Verb])[],
  isLossy = false,
): Command {
  const text = said.map(([item, verb]) => `${verb} ${item}`).join(', ');
  return command(`settle(${who}, ${text}${lost(isLossy)})`, (model) => {
    const settler = pick(model, model.owing, who);
    if (settler === undefined) return undefined;
    const consumer = model.consumer(settler);
    const some = pickSome(
      unsaid(consumer),
      said.map(([item]) => item),
    );
    if (some.length === 0) return undefined;
    const verbOf = (i: number): Verb => (said[i] as readonly [number, Verb])[1];
    const indexes = indexesOf(some, consumer.receipts);
    return lossy(isLossy, settler, {
      model: () =>
        model.jobs.settle(
          consumer,
          some.map((receipt, i) => [receipt, verbOf(i)]),
        ),
      world: (world) =>
        world.settle(
          settler,
          indexes.map((index, i) => [index, verbOf(i)]),
        ),
    });
  });
}

/** Settles some in the step that stores what was made of them in the other queue. */
export function hop(who: number, items: readonly number[], bodies: readonly string[], delay: Delay, isLossy: boolean) {
  const text = `${who}, ${items.join(' ')}, ${JSON.stringify(bodies)}, ${delay}${lost(isLossy)}`;
  return command(`hop(${text})`, (model) => {
    const settler = pick(model, model.owing, who);
    if (settler === undefined) return undefined;
    const { receipts } = model.consumer(settler);
    const some = pickSome(unsaid(model.consumer(settler)), items);
    if (some.length === 0) return undefined;
    const indexes = indexesOf(some, receipts);
    return lossy(isLossy, settler, {
      model: () => model.jobs.hop(some, model.next, bodies, DELAYS[delay]),
      world: (world) => world.hop(settler, indexes, bodies, DELAYS[delay]),
    });
  });
}

export function crash(who: number | string): Command {
  return command(`crash(${who})`, (model) => {
    const dying = pick(model, model.living, who);
    if (dying === undefined || model.jobs.isEnding) return undefined;
    return {
      model: () => model.jobs.fail(model.consumer(dying), 'crashed'),
      world: (world) => world.crash(dying),
    };
  });
}

export function close(who: number, isLossy = false): Command {
  return command(`close(${who}${lost(isLossy)})`, (model) => {
    const closing = pick(model, model.living, who);
    if (closing === undefined) return undefined;
    return lossy(isLossy, closing, {
      model: () => model.jobs.close(model.consumer(closing)),
      world: (world) => world.close(closing),
    });
  });
}

/** Somebody dies of an item, and starts again. */
export function die(name: string): Command {
  return sequence(`die(${name})`, name, [take(name, 2), handOver(name, 1), crash(name), start(name)]);
}

/** Somebody finds that his lease has ended, and another begins under his name before he goes on. */
export function oust(name: string): Command {
  return sequence(`oust(${name})`, name, [
    push(['a'], 'left', 'none'),
    take(name, 1),
    stall(name),
    settle(name, [[0, 'ack']]),
    start(name),
    take(0, 1),
    take(1, 1),
  ]);
}

/** What can be carried out of some commands for one who lives. */
function sequence(text: string, name: string, parts: readonly Command[]): Command {
  return {
    check: () => true,
    run: async (model, worlds) => {
      const isThere = model.living.some((who) => model.consumer(who).name === name);
      for (const part of isThere ? parts : [start(name), ...parts])
        if (part.check(model)) await part.run(model, worlds);
    },
    toString: () => text,
  };
}

/** Time goes by. */
export function advance(steps: number): Command {
  return command(`advance(${steps})`, (model) => ({
    model: () => stepAll(model, steps),
    world: async (world) => {
      for (let step = 0; step < steps; step += 1) await world.step(namesOf(model));
    },
  }));
}

/** Time goes by, in which somebody gives no sign of life: his lease ends, and he does not know. */
export function stall(who: number | string): Command {
  return command(`stall(${who})`, (model) => {
    const stalled = pick(model, model.living, who);
    if (stalled === undefined || model.jobs.isEnding) return undefined;
    const alive = namesOf(model).filter((name) => name !== model.consumer(stalled).name);
    return {
      model: () => {
        model.jobs.fail(model.consumer(stalled), 'stalled');
        stepAll(model, STALL);
      },
      world: async (world) => {
        world.stall(stalled);
        for (let step = 0; step < STALL; step += 1) await world.step(alive);
        world.wake(stalled);
      },
    };
  });
}

/** So many steps are longer than a lease. */
const STALL = 3;

function stepAll({ queues }: Model, steps: number): void {
  for (let step = 0; step < steps; step += 1) for (const queue of queues) queue.step();
}

function namesOf(model: Model): string[] {
  return model.living.map((who) => model.consumer(who).name);
}

function indexesOf(some: readonly Receipt[], receipts: readonly Receipt[]): number[] {
  return some.map((receipt) => receipts.indexOf(receipt));
}

function lost(isLossy: boolean): string {
  return isLossy ? ', answer lost' : '';
}
