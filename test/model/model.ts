/**
 * What a broker does, written down as plainly as it can be said: the reference that the drivers are compared with. It has no bytes, no
 * clients and no waiting; each of its methods changes it and gives the answer that a driver must give.
 */
export const LEASE = 25_000;
export const MAX_ATTEMPTS = 3;

/** Time goes by in steps, so that no delay (15 s and 35 s) and no lease ends just as one does. */
export const STEP = 10_000;

interface Item {
  readonly body: string;
  attempts: number;
  deaths: number;
}

/** An item that a consumer has taken. */
export interface Receipt {
  readonly item: Item;
  isHanded: boolean;
  isHeld: boolean;
  /** Whether it was given alone, as a suspect. */
  readonly isAlone: boolean;
  /** Whether its consumer has said what becomes of it: it may do so once. */
  isSaid: boolean;
}

export interface ModelConsumer {
  readonly name: string;
  /** All that it ever took, in that order. */
  readonly receipts: Receipt[];
  state: 'live' | 'stalled' | 'fenced' | 'crashed' | 'closed';
  leaseEnd: number;
  /** Whether its lease has ended without its knowing, and it has asked for nothing since: the broker does not know of it. */
  isUnknown: boolean;
}

export type Verb = 'ack' | 'retry' | 'later' | 'reject' | 'release';

/** What is told of a queue. Who holds nothing is left out: Redis lists who has joined, the memory whoever was made. */
export interface Totals {
  readonly waiting: number;
  readonly delayed: number;
  readonly inProcess: number;
  readonly dead: number;
  readonly pushed: number;
  readonly settled: number;
  readonly held: Readonly<Record<string, number>>;
}

const isHeld = (receipt: Receipt): boolean => receipt.isHeld;

export const heldBy = (consumer: ModelConsumer): Receipt[] => consumer.receipts.filter(isHeld);

export class ModelQueue {
  /** Each with the item that is had next in front. */
  list: Item[] = [];
  again: Item[] = [];
  /** By the time at which they are due, and then as they came. */
  delayed: { readonly due: number; readonly item: Item }[] = [];
  readonly dead: string[] = [];
  readonly consumers: ModelConsumer[] = [];
  pushed = 0;
  settled = 0;
  now = 0;

  push(bodies: readonly string[], side: 'left' | 'right', delay: number): void {
    this.pushed += bodies.length;
    for (const body of bodies) {
      const item = { body, attempts: 0, deaths: 0 };
      if (delay > 0) this.#delay(item, delay);
      else if (side === 'left') this.list.push(item);
      else this.list.unshift(item);
    }
  }

  /** Whoever has the name loses it, with what he holds. */
  start(name: string): ModelConsumer {
    for (const former of this.consumers.filter((one) => one.name === name && isListed(one))) {
      this.#lapse(former);
      if (former.state === 'live') former.state = 'fenced';
      else former.state = 'closed';
    }
    const consumer: ModelConsumer = { name, receipts: [], state: 'live', leaseEnd: 0, isUnknown: false };
    this.consumers.push(consumer);
    return consumer;
  }

  take(consumer: ModelConsumer, max: number): string[] | 'fenced' {
    if (consumer.state === 'fenced') return 'fenced';
    consumer.isUnknown = false;
    const held = heldBy(consumer);
    const [first] = this.again;
    let items: Item[];
    if (held.some(({ item }) => isSuspect(item))) items = [];
    else if (!first) items = this.list.splice(0, max);
    else if (isSuspect(first)) items = held.length > 0 ? [] : this.again.splice(0, 1);
    else {
      const suspect = this.again.findIndex(isSuspect);
      items = this.again.splice(0, suspect < 0 ? max : Math.min(max, suspect));
    }
    for (const item of items) {
      consumer.receipts.push({ item, isHanded: false, isHeld: true, isAlone: isSuspect(item), isSaid: false });
    }
    return items.map(({ body, attempts }) => `${body}#${attempts + 1}`);
  }

  /** Settles items of one consumer in one turn. Gives what is answered to each. */
  settle(consumer: ModelConsumer, said: readonly (readonly [receipt: Receipt, verb: Verb])[]): boolean[] {
    const released = new Set<Receipt>();
    const answers = said.map(([receipt, verb]) => {
      receipt.isSaid = true;
      if (!receipt.isHeld) return false;
      receipt.isHeld = false;
      const { item } = receipt;
      if (verb === 'release') return Boolean(released.add(receipt));
      if (verb === 'ack' || verb === 'reject') this.settled += 1;
      if (verb === 'reject') this.#bury(item, item.attempts + 1, verb);
      if (verb === 'retry' || verb === 'later') item.attempts += 1;
      if (verb === 'retry') this.again.push(item);
      if (verb === 'later') this.#delay(item, DELAYS.later);
      return true;
    });
    // Those of one turn go back in the order in which they were taken, whatever the order in which that was said.
    const inOrder = consumer.receipts.filter((receipt) => released.has(receipt)).map(({ item }) => item);
    this.again.unshift(...inOrder);
    return answers;
  }

  /** Settles items in the step that stores what was made of them in another queue; all of this, or nothing. */
  hop(receipts: readonly Receipt[], target: ModelQueue, bodies: readonly string[], delay: number): boolean {
    if (!receipts.every(isHeld)) {
      // Nobody asks for one that is known to be lost; so of a suspect beside it nothing is heard.
      const isHeard = ({ isAlone }: Receipt): boolean => !isAlone || receipts.length === 1;
      for (const receipt of receipts) if (!receipt.isHeld && isHeard(receipt)) receipt.isSaid = true;
      return false;
    }
    for (const receipt of receipts) {
      receipt.isHeld = false;
      receipt.isSaid = true;
    }
    this.settled += receipts.length;
    target.push(bodies, 'left', delay);
    return true;
  }

  /**
   * Whether it may not be told how it stands with it if it asks. Who has got a suspect, and does not know that it has lost it, does not even ask
   * Redis before that is settled: it is told with its next sign of life. And Redis knows only of those who are there: of one who was fenced off
   * by somebody who has gone since it knows only that it has lost what it held.
   */
  isUntold({ state, name, receipts }: ModelConsumer): boolean {
    if (receipts.some(({ isAlone, isHeld, isSaid }) => isAlone && !isHeld && !isSaid)) return true;
    return state === 'fenced' && !this.consumers.some((one) => one.name === name && isListed(one) && !one.isUnknown);
  }

  /** Whether a lease ends, if it is not renewed, just when that of somebody who has failed does. Which comes first then, nobody promises. */
  get isEnding(): boolean {
    return this.consumers.some(({ state, leaseEnd }) => isFailed(state) && leaseEnd === this.now + LEASE);
  }

  /** Dies, or does nothing until its lease has ended. */
  fail(consumer: ModelConsumer, state: 'crashed' | 'stalled'): void {
    consumer.state = state;
    consumer.leaseEnd = this.now + LEASE;
  }

  close(consumer: ModelConsumer): void {
    const held = heldBy(consumer);
    for (const receipt of consumer.receipts) receipt.isHeld = false;
    this.again.unshift(...held.map(({ item }) => item));
    consumer.state = 'closed';
  }

  step(): void {
    this.now += STEP;
    const due = this.delayed.filter(({ due }) => due <= this.now);
    this.delayed = this.delayed.filter(({ due }) => due > this.now);
    this.again.push(...due.map(({ item }) => item));
    const ended = this.consumers.filter(({ state, leaseEnd }) => isFailed(state) && leaseEnd <= this.now);
    for (const consumer of ended) {
      this.#lapse(consumer);
      consumer.isUnknown = true;
      consumer.state = consumer.state === 'stalled' ? 'live' : 'closed';
    }
  }

  totals(): Totals {
    const holders = this.consumers.filter((consumer) => heldBy(consumer).length > 0);
    const held = Object.fromEntries(holders.map((consumer) => [consumer.name, heldBy(consumer).length]));
    return {
      waiting: this.list.length + this.again.length,
      delayed: this.delayed.length,
      inProcess: Object.values(held).reduce((sum, count) => sum + count, 0),
      dead: this.dead.length,
      pushed: this.pushed,
      settled: this.settled,
      held,
    };
  }

  /** Loses what it holds, as somebody who has died: what a handler may have seen is one attempt further. */
  #lapse(consumer: ModelConsumer): void {
    const back: Item[] = [];
    for (const receipt of heldBy(consumer)) {
      receipt.isHeld = false;
      const { item, isHanded } = receipt;
      if (isHanded) {
        item.attempts += 1;
        item.deaths += 1;
      }
      if (!isHanded || item.attempts < MAX_ATTEMPTS) back.push(item);
      else {
        this.settled += 1;
        this.#bury(item, item.attempts, `attempt ${item.attempts} of ${MAX_ATTEMPTS} failed: its consumer died`);
      }
    }
    this.again.unshift(...back);
  }

  #delay(item: Item, delay: number): void {
    this.delayed.push({ due: this.now + delay, item });
    // A stable sort: what is due at one time keeps its order.
    this.delayed.sort((a, b) => a.due - b.due);
  }

  #bury({ body }: Item, attempts: number, reason: string): void {
    this.dead.push(`${body}#${attempts}: ${reason}`);
  }
}

/** A body that stands for one of many bytes. */
export const LARGE = 'L';

/** Delays, in milliseconds. */
export const DELAYS = { none: 0, later: 15_000, last: 35_000 };
export type Delay = keyof typeof DELAYS;

function isSuspect({ deaths }: Item): boolean {
  return deaths >= 2;
}

function isFailed(state: ModelConsumer['state']): boolean {
  return state === 'crashed' || state === 'stalled';
}

/** Whether the broker has it under its name. */
function isListed({ state }: ModelConsumer): boolean {
  return state === 'live' || isFailed(state);
}
