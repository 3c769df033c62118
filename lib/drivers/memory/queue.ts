import type { QueueInfo, Reply, Side } from '../../driver.ts';
import { deadLetterText, requestIn } from '../../packet.ts';
import { Cancelled } from './cancelled.ts';
import type { Clock, Timer } from './clock.ts';
import type { HeldItem, MemoryConsumer } from './consumer.ts';
import { DeadLetters } from './dead-letters.ts';
import type { Inboxes } from './inboxes.ts';
import { Delayed, type Item, Items } from './items.ts';

/** For how long totals and producers' numbers are kept once they are out of use, in milliseconds. */
export const DAY = 86_400_000;

/** An item whose consumers have died so often is delivered alone. */
const SUSPECT_DEATHS = 2;

/** Whether an item may be what its consumers die of. */
export function isSuspect(item: Item): boolean {
  return item.deaths >= SUSPECT_DEATHS;
}

/** Tries to get on; answers whether it needs no other try. */
export type Attempt = () => boolean;

function requestInBytes(bytes: Buffer): ReturnType<typeof requestIn> {
  try {
    return requestIn(JSON.parse(bytes.toString()));
  } catch {
    return undefined;
  }
}

/** One queue: what is in it, who holds items of it, and who waits for it to change. */
export class Queue {
  readonly dead = new DeadLetters();
  readonly consumers = new Map<string, MemoryConsumer>();
  readonly cancelled: Cancelled;
  readonly #clock: Clock;
  readonly #inboxes: Inboxes;
  readonly #onChange: () => void;
  readonly #list = new Items();
  /** What comes again, and what was delayed: had before the list. */
  readonly #again = new Items();
  readonly #delayed = new Delayed();
  readonly #producers = new Map<string, { last: number; time: number }>();
  /** Who waits, first come, first served. */
  readonly #takers = new Set<Attempt>();
  readonly #senders = new Set<Attempt>();
  #pushed = 0;
  #settled = 0;
  #used: number;
  #changing: 'no' | 'yes' | 'again' = 'no';
  #alarm: { readonly at: number; readonly timer: Timer } | undefined;

  constructor(clock: Clock, inboxes: Inboxes, onChange: () => void) {
    this.cancelled = new Cancelled(clock);
    this.#clock = clock;
    this.#inboxes = inboxes;
    this.#onChange = onChange;
    this.#used = clock.now();
  }

  /** The length that `maxLength` bounds: that of the list. */
  get length(): number {
    return this.#list.length;
  }

  /** Whether it holds anything, or has consumers. */
  get isInUse(): boolean {
    const kept = this.#list.length + this.#again.length + this.#delayed.length + this.dead.length;
    return kept + this.consumers.size > 0;
  }

  /** Whether nothing would be missed if it were made anew. */
  get isForgotten(): boolean {
    if (this.isInUse || this.#takers.size + this.#senders.size > 0) return false;
    return this.#clock.now() - this.#used >= DAY;
  }

  /** Whether nothing waits in it or for room in it, and nothing is held. What is due later does not count. */
  get isIdle(): boolean {
    if (this.#list.length + this.#again.length + this.#senders.size > 0) return false;
    return Array.from(this.consumers.values()).every(({ held }) => held === 0);
  }

  /** Has an attempt made at once, and after each change until it needs no other. */
  wait(kind: 'takers' | 'senders', attempt: Attempt): void {
    if (attempt()) return;
    (kind === 'takers' ? this.#takers : this.#senders).add(attempt);
    this.#setAlarm();
  }

  giveUp(attempt: Attempt): void {
    this.#takers.delete(attempt);
    this.#senders.delete(attempt);
    this.#setAlarm();
  }

  /** Puts new items in at an end of the list, or for later. */
  push(side: Side, bodies: readonly Buffer[], delay: number): void {
    const since = this.#clock.now() + delay;
    const items = bodies.map((bytes) => ({ bytes, attempts: 0, deaths: 0, since }));
    if (delay > 0) for (const item of items) this.#delayed.add(item);
    else this.#list.put(side, items);
    this.#pushed += items.length;
    this.changed();
  }

  /** Puts items back into the list, so that they are had again from that end in this order. */
  putBack(side: Side, bodies: readonly Buffer[]): void {
    const since = this.#clock.now();
    const items = bodies.map((bytes) => ({ bytes, attempts: 0, deaths: 0, since }));
    this.#list.put(side, items.toReversed());
    this.changed();
  }

  /** Takes at most `max` of the items that come again. */
  takeAgain(max: number): Item[] {
    this.#moveDue();
    return this.#taken(this.#again.take('right', max));
  }

  /** Takes at most `max` items of the list. */
  takeNew(side: Side, max: number): Item[] {
    return this.#taken(this.#list.take(side, max));
  }

  /** Takes for a consumer, which holds something or not: of what comes again, a suspect alone, or else of the list. */
  takeToHold(max: number, holding: boolean): Item[] {
    this.#moveDue();
    const first = this.#again.peek('right');
    if (!first) return this.takeNew('right', max);
    if (isSuspect(first)) return holding ? [] : this.takeAgain(1);
    let count = 0;
    for (const item of this.#again) {
      if (count === max || isSuspect(item)) break;
      count += 1;
    }
    return this.takeAgain(count);
  }

  /** Has items again, before all others and in this order, as they are. */
  restore(items: readonly Item[]): void {
    this.#again.putFirst(items);
    this.changed();
  }

  /** Has what a consumer held when it died again: before all others and in this order, and after its last attempt not at all. */
  recover(held: Iterable<HeldItem>, maxAttempts: number): void {
    const back: Item[] = [];
    for (const { item, attempt, handed } of held) {
      if (!handed) back.push(item);
      else if (attempt < maxAttempts) back.push({ ...item, attempts: attempt, deaths: item.deaths + 1 });
      else {
        this.bury(item.bytes, `attempt ${attempt} of ${maxAttempts} failed: its consumer died`, attempt);
        this.#settled += 1;
      }
    }
    this.restore(back);
  }

  /** Has an item again, behind the others that come again, as one attempt more. */
  retry(item: Item, attempt: number, delay: number): void {
    const again = { ...item, attempts: attempt, since: this.#clock.now() + delay };
    if (delay > 0) this.#delayed.add(again);
    else this.#again.put('left', [again]);
    this.changed();
  }

  /** Counts items that are done with. */
  settle(count: number): void {
    this.#settled += count;
    this.changed();
  }

  /** Makes an item a dead letter. If somebody waits for an answer to it, this is the answer. */
  bury(bytes: Buffer, reason: string, attempts: number): void {
    this.dead.add({ bytes, reason, time: this.#clock.now(), attempts });
    const request = requestInBytes(bytes);
    if (request) this.reply([{ channel: request.channel, text: deadLetterText(request.id, reason) }]);
  }

  reply(replies: readonly Reply[]): void {
    this.#inboxes.publish(replies);
  }

  /** Takes a request out of the list, or else remembers its name until then. */
  cancel(body: Buffer, name: string, until: number): void {
    if (!this.#list.remove(body)) this.cancelled.add(name, until);
    else this.settle(1);
  }

  /** The last number stored of a producer. */
  lastOf(producer: string): number {
    const found = this.#producers.get(producer);
    return found && this.#clock.now() - found.time < DAY ? found.last : 0;
  }

  /** Notes the last number stored of a producer. */
  note(producer: string, last: number): void {
    const time = this.#clock.now();
    if (!this.#producers.has(producer)) {
      for (const [name, noted] of this.#producers) if (time - noted.time >= DAY) this.#producers.delete(name);
    }
    this.#producers.set(producer, { last, time });
    this.#used = time;
  }

  inspect(): QueueInfo {
    this.#moveDue();
    const now = this.#clock.now();
    const consumers = Array.from(this.consumers.values(), (consumer) => consumer.inspect());
    let oldest = now;
    for (const item of [this.#list.peek('left'), this.#list.peek('right'), ...this.#again]) {
      oldest = Math.min(oldest, item?.since ?? now);
    }
    return {
      waiting: this.#list.length + this.#again.length,
      delayed: this.#delayed.length,
      inProcess: consumers.reduce((sum, { held }) => sum + held, 0),
      dead: this.dead.length,
      pushed: this.#pushed,
      settled: this.#settled,
      lag: now - oldest,
      consumers,
    };
  }

  /**
   * Lets those who wait try again. Whatever their attempts change has all of them tried once more, but never one within
   * another's attempt or its own: it would take twice.
   */
  changed(): void {
    this.#used = this.#clock.now();
    if (this.#changing !== 'no') {
      this.#changing = 'again';
      return;
    }
    do {
      this.#changing = 'yes';
      for (const attempt of this.#takers) {
        if (this.#list.length + this.#again.length === 0) break;
        if (attempt()) this.#takers.delete(attempt);
      }
      for (const attempt of this.#senders) if (attempt()) this.#senders.delete(attempt);
    } while ((this.#changing as string) === 'again');
    this.#changing = 'no';
    this.#setAlarm();
    this.#onChange();
  }

  #taken(items: Item[]): Item[] {
    if (items.length > 0) this.changed();
    return items;
  }

  #moveDue(): void {
    if (this.#delayed.length > 0) this.#again.put('left', this.#delayed.takeDue(this.#clock.now()));
  }

  /** Sees to it that what is due, and who is dead, is noticed at its time. The process stays alive for those who wait for it. */
  #setAlarm(): void {
    let at = this.#delayed.next;
    for (const { leaseEnd } of this.consumers.values()) at = Math.min(at, leaseEnd);
    if (this.#alarm?.at !== at) {
      this.#alarm?.timer.cancel();
      this.#alarm = undefined;
      if (at === Number.POSITIVE_INFINITY) return;
      this.#alarm = { at, timer: this.#clock.setTimer(at - this.#clock.now(), () => this.#ring()) };
    }
    this.#alarm?.timer.keepAlive(this.#takers.size > 0);
  }

  #ring(): void {
    this.#alarm = undefined;
    this.#moveDue();
    for (const consumer of this.consumers.values()) if (consumer.leaseEnd <= this.#clock.now()) consumer.lapse();
    this.changed();
  }
}
