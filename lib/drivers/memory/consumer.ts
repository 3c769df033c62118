import { randomUUID } from 'node:crypto';
import type { Consumer, ConsumerInfo, ConsumerOptions, DriverConnection, Held, Outcome } from '../../driver.ts';
import { MillraceError } from '../../errors.ts';
import type { Clock } from './clock.ts';
import type { Item } from './items.ts';
import { isSuspect, type Queue } from './queue.ts';

const YES = Promise.resolve(true);
const NO = Promise.resolve(false);

/** An item that is held. */
export class HeldItem implements Held {
  readonly item: Item;
  readonly bytes: Buffer;
  readonly attempt: number;
  /** Since when it is held, in milliseconds since 1970. */
  readonly since: number;
  /** Whether a handler may have seen it. */
  handed = false;
  /** Whether it goes back at the end of the turn. */
  released = false;
  owner: unknown = undefined;

  constructor(item: Item, since: number) {
    this.item = item;
    this.bytes = item.bytes;
    this.attempt = item.attempts + 1;
    this.since = since;
  }
}

interface Call {
  readonly attempt: () => boolean;
  resolve(items: readonly Held[]): void;
  reject(error: Error): void;
}

/** Holds items of a queue. It needs no heartbeat: it lives as its process does, unless a test has it crash. */
export class MemoryConsumer implements Consumer {
  readonly connection: DriverConnection;
  readonly name: string;
  readonly #queue: Queue;
  readonly #queueName: string;
  readonly #clock: Clock;
  readonly #options: ConsumerOptions;
  /** In the order in which they were taken. */
  readonly #held = new Set<HeldItem>();
  #state: 'live' | 'crashed' | 'fenced' | 'closed' = 'live';
  #leaseEnd = Number.POSITIVE_INFINITY;
  /** What it held when it crashed. */
  #orphans: readonly HeldItem[] = [];
  #call: Call | undefined;
  /** The answer to all that are released in this turn. */
  #releasing: Promise<boolean> | undefined;

  constructor(connection: DriverConnection, queue: Queue, queueName: string, clock: Clock, options: ConsumerOptions) {
    this.connection = connection;
    this.name = options.name ?? randomUUID();
    this.#queue = queue;
    this.#queueName = queueName;
    this.#clock = clock;
    this.#options = options;
    const former = queue.consumers.get(this.name);
    queue.consumers.set(this.name, this);
    former?.lapse();
  }

  /** How many items it holds. */
  get held(): number {
    return this.#held.size;
  }

  /** Whether it has not crashed. */
  get isLive(): boolean {
    return this.#state === 'live';
  }

  /** When others have what it holds, if it has crashed; infinity if it has not. */
  get leaseEnd(): number {
    return this.#leaseEnd;
  }

  inspect(): ConsumerInfo {
    const now = this.#clock.now();
    const [first] = this.#held;
    return {
      name: this.name,
      held: this.held,
      leaseEnds: this.isLive ? now + this.#options.leaseTimeout : this.#leaseEnd,
      oldest: first ? now - first.since : 0,
    };
  }

  receive(max: number): Promise<readonly Held[]> {
    if (this.#state === 'fenced') return Promise.reject(this.#fenced());
    if (this.#state === 'closed') return Promise.resolve([]);
    return new Promise((resolve, reject) => {
      const attempt = (): boolean => {
        const items = this.#take(max);
        if (items.length === 0) return false;
        this.#call = undefined;
        resolve(items);
        return true;
      };
      this.#call = { attempt, resolve, reject };
      if (this.isLive) this.#queue.wait('takers', attempt);
    });
  }

  cancel(): void {
    this.#endCall()?.resolve([]);
  }

  handOver(item: Held): void {
    (item as HeldItem).handed = true;
  }

  settle(held: Held, outcome: Outcome): Promise<boolean> {
    if (!this.holds([held])) return NO;
    const { item, bytes, attempt } = held as HeldItem;
    if (outcome.verb === 'release') return this.#release(held as HeldItem);
    this.#held.delete(held as HeldItem);
    if (outcome.verb === 'retry') this.#queue.retry(item, attempt, outcome.delay);
    else {
      if (outcome.verb === 'reject') this.#queue.bury(bytes, outcome.reason, attempt);
      else if (outcome.reply) this.#queue.reply([outcome.reply]);
      this.#queue.settle(1);
    }
    return YES;
  }

  /** Whether all of these can still be settled. */
  holds(items: readonly Held[]): boolean {
    return this.isLive && items.every((held) => this.#held.has(held as HeldItem) && !(held as HeldItem).released);
  }

  /** Acknowledges items that it {@link holds}. */
  acknowledge(items: readonly Held[]): void {
    for (const held of items) this.#held.delete(held as HeldItem);
    this.#queue.settle(items.length);
  }

  async close(): Promise<void> {
    this.cancel();
    if (!this.isLive) return;
    for (const held of this.#held) held.released = true;
    this.#state = 'closed';
    this.#queue.consumers.delete(this.name);
    this.#putBack();
  }

  /** Dies, as its process would: from now on it does nothing, and what it holds comes again when its lease has ended. */
  crash(): void {
    this.#putBack();
    this.#state = 'crashed';
    this.#orphans = [...this.#held];
    this.#leaseEnd = this.#clock.now() + this.#options.leaseTimeout;
    if (this.#call) this.#queue.giveUp(this.#call.attempt);
    this.#queue.changed();
  }

  /** Tells the stream of the dead what it has lost, so that it does not wait for it in the end. */
  mourn(): void {
    if (this.#orphans.length > 0) this.#options.onLost(this.#orphans);
    this.#orphans = [];
  }

  /** Loses what it holds, because its lease has ended or another has its name. */
  lapse(): void {
    this.#putBack();
    const lost = [...this.#held];
    const wasLive = this.isLive;
    this.#held.clear();
    if (wasLive) this.#state = 'fenced';
    this.#leaseEnd = Number.POSITIVE_INFINITY;
    if (this.#queue.consumers.get(this.name) === this) this.#queue.consumers.delete(this.name);
    // First of all its own call ends, or it would have again what it loses.
    const call = wasLive ? this.#endCall() : undefined;
    this.#queue.recover(lost, this.#options.maxAttempts);
    if (!wasLive) return;
    call?.reject(this.#fenced());
    if (lost.length > 0) this.#options.onLost(lost);
  }

  #take(max: number): HeldItem[] {
    const [first] = this.#held;
    if (first && isSuspect(first.item)) return [];
    const now = this.#clock.now();
    const taken = this.#queue.takeToHold(max, first !== undefined).map((item) => new HeldItem(item, now));
    for (const held of taken) this.#held.add(held);
    return taken;
  }

  /** Those of one turn go back together, so that they keep their order. */
  #release(held: HeldItem): Promise<boolean> {
    held.released = true;
    this.#releasing ??= new Promise((resolve) => {
      process.nextTick(() => {
        this.#putBack();
        resolve(true);
      });
    });
    return this.#releasing;
  }

  #putBack(): void {
    this.#releasing = undefined;
    const released = Array.from(this.#held).filter((held) => held.released);
    for (const held of released) this.#held.delete(held);
    this.#queue.restore(released.map(({ item }) => item));
  }

  #endCall(): Call | undefined {
    const call = this.#call;
    this.#call = undefined;
    if (call) this.#queue.giveUp(call.attempt);
    return call;
  }

  #fenced(): MillraceError {
    return new MillraceError(
      'FENCED',
      `Another consumer of queue "${this.#queueName}" has started under the name "${this.name}"`,
    );
  }
}
