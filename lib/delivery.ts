import type { Consumer, DriverConnection, Held, Outcome } from './driver.ts';
import { type MillraceError, messageOf } from './errors.ts';
import { milliseconds, unchecked, withDefaults } from './options.ts';

/** The options of {@link Delivery.retry}. */
export interface RetryOptions {
  /** Milliseconds until it is delivered again. Default: as the stream's `backoff` says. */
  delay?: number;
  /** Why: the `'retry'` event bears it, and the dead letter where this was the last attempt. */
  reason?: unknown;
}

/** Who made a delivery, as the delivery sees it: its stream. */
export interface Holder {
  readonly queue: string;
  /** After how many attempts a retry is a rejection. */
  readonly maxAttempts: number;
  /** How long to wait after an attempt, from 1, that failed: milliseconds. */
  backoff(attempt: number): number;
  /** Called when a receipt is on its way to be settled, or lost: it counts as unsettled no more. */
  freed(): void;
  /** Called when the hop that a receipt was claimed for is over: where that has not settled it, it counts as unsettled again. */
  unclaimed(settled: boolean): void;
  /** Called when the broker has sent an item back, or to the dead letters. */
  settled(receipt: Receipt, outcome: Outcome, reason: unknown): void;
}

const ACK: Outcome = { verb: 'ack' };
const RELEASE: Outcome = { verb: 'release' };
const NO = Promise.resolve(false);
const YES = Promise.resolve(true);

/**
 * An item that is held, until it is settled: by one verb of one of the deliveries that were made of it, or by being stored in
 * another queue.
 */
export class Receipt {
  readonly held: Held;
  readonly consumer: Consumer;
  readonly holder: Holder;
  /** What the item's bytes say. Nothing while they have not been read. */
  value: unknown;
  /** Whether the deliveries made of it go to several places, so that none can wait for all. */
  isScattered = false;
  /** Whether nobody waits for what comes of it any more. */
  isUnwanted = false;
  /** From when on nobody waits, where that has been put off: milliseconds since 1970 by the broker's clock. */
  deadline: number | undefined;
  /** Rings at its deadline. It is stopped when that is nobody's business any more: it would hold on to all that was asked with. */
  timer: NodeJS.Timeout | undefined;
  /** How many of the deliveries made of it are not settled. */
  #open = 1;
  /** Those who wait until all the deliveries made of it have come to them. */
  #gatherers: Set<() => void> | undefined;
  /** Resolves when the broker has answered to what settles it. Nothing before that is on its way. */
  answer: Promise<boolean> | undefined;
  #state: 'held' | 'settling' | 'over' = 'held';
  #handed = false;
  #controller: AbortController | undefined;
  #aborted: { readonly reason: unknown } | undefined;

  constructor(held: Held, consumer: Consumer, holder: Holder) {
    this.held = held;
    this.consumer = consumer;
    this.holder = holder;
    held.owner = this;
  }

  get open(): number {
    return this.#open;
  }

  /** More, or fewer, of the deliveries made of it are not settled. */
  change(by: number): void {
    this.#open += by;
    this.#tellGatherers();
  }

  /** Has `onChange` called when it may be known better which deliveries made of it are still to come. */
  gather(onChange: () => void): void {
    this.#gatherers ??= new Set();
    this.#gatherers.add(onChange);
    if (this.#gatherers.size > 1) this.isScattered = true;
    this.#tellGatherers();
  }

  ungather(onChange: () => void): void {
    this.#gatherers?.delete(onChange);
  }

  /** Whether it can still be settled. */
  get isHeld(): boolean {
    return this.#state === 'held';
  }

  /** Whether it is settled or lost; not while a hop that is to settle it is under way. */
  get isOver(): boolean {
    return this.#state === 'over';
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#aborted) this.#controller.abort(this.#aborted.reason);
    return this.#controller.signal;
  }

  /** Tells the handler, by the signal, that its work is not wanted any more. */
  abort(reason: unknown): void {
    this.#aborted ??= { reason };
    this.#controller?.abort(reason);
  }

  /** Says that a handler is about to see the item. */
  handOver(): void {
    if (this.#handed) return;
    this.#handed = true;
    if (this.isHeld) this.consumer.handOver(this.held);
  }

  /** Settles it, whatever is open. Never rejects: false where that came too late. */
  settle(outcome: Outcome, reason?: unknown): Promise<boolean> {
    if (this.#state !== 'held') return NO;
    this.#state = 'over';
    if (this.timer) clearTimeout(this.timer);
    this.holder.freed();
    const answer = neverRejects(this.consumer.settle(this.held, outcome));
    if (outcome.verb !== 'ack') answer.then((done) => done && this.holder.settled(this, outcome, reason));
    this.answer = answer;
    return answer;
  }

  /** Takes it for a hop, which settles it as it stores what was made of it. */
  claim(): void {
    this.#state = 'settling';
    this.holder.freed();
  }

  /** What became of a {@link claim}. */
  settleClaim(settled: boolean): void {
    if (this.#state !== 'settling') return;
    this.#state = settled ? 'over' : 'held';
    if (settled && this.timer) clearTimeout(this.timer);
    this.holder.unclaimed(settled);
  }

  /** It is not held any more, or not for long, and nobody here has settled it: its verbs come too late from now on. */
  lose(why: MillraceError): void {
    const before = this.#state;
    this.#state = 'over';
    if (this.timer) clearTimeout(this.timer);
    if (before === 'held') this.holder.freed();
    if (before === 'settling') this.holder.unclaimed(true);
    this.abort(why);
    this.#tellGatherers();
  }

  #tellGatherers(): void {
    if (this.#gatherers) for (const onChange of this.#gatherers) process.nextTick(onChange);
  }
}

/** The settlements of one turn may share a promise, and so they share the one that never rejects. */
let last: { readonly settling: Promise<boolean>; readonly safe: Promise<boolean> } | undefined;

function neverRejects(settling: Promise<boolean>): Promise<boolean> {
  if (last?.settling !== settling) last = { settling, safe: settling.catch(() => false) };
  return last.safe;
}

/** One of the deliveries that are made of a receipt: it is settled with the last of them. */
export class Share {
  readonly receipt: Receipt;
  #settled: boolean;

  constructor(receipt: Receipt, settled = false) {
    this.receipt = receipt;
    this.#settled = settled;
  }

  get isOpen(): boolean {
    return !this.#settled && this.receipt.isHeld;
  }

  /** Whether a connection holds it, which so can settle it in the step that stores what was made of it. */
  isHeldBy(connection: DriverConnection | undefined): boolean {
    return this.receipt.consumer.connection === connection;
  }

  /** Its part is done: the receipt is acknowledged with the last one. */
  ack(): Promise<boolean> {
    if (!this.isOpen) return NO;
    this.close();
    return this.receipt.open === 0 ? this.receipt.settle(ACK) : YES;
  }

  settle(outcome: Outcome, reason?: unknown): Promise<boolean> {
    return this.isOpen ? this.receipt.settle(outcome, reason) : NO;
  }

  /** Counts it as done, without acknowledging anything: for a hop. */
  close(): void {
    this.#settled = true;
    this.receipt.change(-1);
  }

  /** Takes {@link close} back. */
  reopen(): void {
    this.#settled = false;
    this.receipt.change(1);
  }

  /** Parts it into as many as are asked for; none of them is open where it was not. */
  divide(count: number): Share[] {
    const { isOpen } = this;
    if (count === 0) void this.ack();
    else if (isOpen) {
      this.close();
      this.receipt.change(count);
    }
    return Array.from({ length: count }, () => new Share(this.receipt, !isOpen));
  }
}

/** For the streams alone: a delivery is known by it, and its share is found there. */
export const share: unique symbol = Symbol.for('millrace.delivery');

/** The share of a delivery; nothing where a value is none. */
export function shareOf(value: unknown): Share | undefined {
  return typeof value === 'object' && value !== null ? (value as { [share]?: Share })[share] : undefined;
}

/**
 * One item of a queue, held until it is settled; also the context of the handler that works on it. Made by a `DeliveryStream`.
 *
 * The verbs resolve when the broker has answered: with true, or with false where the delivery had been settled before, or is
 * not held any more because its lease has ended. They never reject. The first verb decides.
 *
 * @typeParam T of its value
 */
export class Delivery<out T = unknown> implements AsyncDisposable {
  readonly #value: T;
  /** @internal */
  readonly [share]: Share;

  /** @internal */
  constructor(value: T, of: Share) {
    this.#value = value;
    this[share] = of;
  }

  /** The item. Who looks at it is taken to work on it: if the process dies from then on, that counts as an attempt. */
  get value(): T {
    this[share].receipt.handOver();
    return this.#value;
  }

  /** The name of the queue it comes from. */
  get queue(): string {
    return this[share].receipt.holder.queue;
  }

  /** Which attempt this is, from 1. */
  get attempt(): number {
    return this[share].receipt.held.attempt;
  }

  /** Aborted when the work is not wanted any more: the lease is lost, the handler's time is over, its service gives up. */
  get signal(): AbortSignal {
    return this[share].receipt.signal;
  }

  /** The work is done: the item is deleted. */
  ack(): Promise<boolean> {
    return this[share].ack();
  }

  /**
   * The work has failed: the item is delivered again after a while, as one attempt more; or goes to the dead letters where
   * this was attempt `maxAttempts`.
   *
   * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE where options are wrong: at once, not by the promise
   */
  retry(options?: RetryOptions): Promise<boolean> {
    const { delay, reason } = withDefaults<RetryOptions, object>(
      options,
      { delay: milliseconds, reason: unchecked },
      {},
    );
    const { holder } = this[share].receipt;
    if (this.attempt >= holder.maxAttempts) {
      const why = reason === undefined ? 'no reason given' : messageOf(reason);
      return this.reject(`attempt ${this.attempt} of ${holder.maxAttempts} failed: ${why}`, reason);
    }
    return this[share].settle({ verb: 'retry', delay: delay ?? holder.backoff(this.attempt) }, reason);
  }

  /** The item will never do: it goes to the dead letters, byte for byte, with the reason. */
  reject(reason: unknown): Promise<boolean>;
  /** @internal */
  reject(reason: unknown, cause: unknown): Promise<boolean>;
  reject(reason: unknown, cause: unknown = reason): Promise<boolean> {
    return this[share].settle({ verb: 'reject', reason: messageOf(reason) }, cause);
  }

  /** Not now, or not here: the item goes back to the front of its queue, as if it had not been taken. */
  release(): Promise<boolean> {
    return this[share].settle(RELEASE);
  }

  /** Another value under the same receipt: whoever settles the one has settled the other. */
  with<U>(value: U): Delivery<U> {
    return new Delivery(value, this[share]);
  }

  /**
   * Several values in the place of this one: each a delivery, and the item is acknowledged with the last of them. One that is
   * retried, rejected or released takes the others with it. No values at all acknowledge it at once.
   *
   * Parts that are pushed to a queue are stored together, so write them all before you wait for one of them to be stored.
   */
  withMany<U>(values: Iterable<U>): Delivery<U>[] {
    const all = [...values];
    const shares = this[share].divide(all.length);
    return all.map((value, index) => new Delivery(value, shares[index] as Share));
  }

  /** What is not settled is retried: so `await using` leaves nothing held. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this[share].isOpen) await this.retry({ reason: 'left unsettled' });
  }
}
