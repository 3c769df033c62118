import type { Parcel, RedisHeld } from './parcel.ts';

/** How many milliseconds' worth of items may be handed to handlers without a word to the server, and over how many that is measured. */
const AHEAD = 3;
const MEASURED = 20;

/** From how many items in that time on the word goes ahead: one for each would cost more than they do. */
const FAST = 4;

/** After how many words that follow each other within a millisecond each says twice as much as the one before. */
const STREAK = 8;

/** The most that one word says. */
const MOST = 256;

/** With so few attempts an item could be a dead letter for what its neighbour has done: then each is told of singly. */
const FEW_ATTEMPTS = 2;

/** A parcel's number, and how many of its items, from the first on. */
export type Handed = readonly [parcel: number, count: number];

/**
 * Up to where a handler may have seen what a consumer holds, as the server knows it, which must know it first: what is beyond is
 * not charged when the process dies. One word for each item would be dear where thousands a second are handed over, so the
 * word goes ahead by what is handed over in about three milliseconds; of a slow consumer, and of what comes again, each item is told
 * singly.
 */
export class Handing {
  readonly #singly: boolean;
  #parcel = 0;
  #count = 0;
  /** The last that came, to its end. */
  #end: Handed = [0, 0];
  #handed = 0;
  #since = performance.now();
  #pace = 1;
  #words = 0;
  #lastWord = 0;

  constructor(maxAttempts: number) {
    this.#singly = maxAttempts <= FEW_ATTEMPTS;
  }

  /** What is to be said before an item is handed over; nothing if that has been said already. */
  next({ parcel, index }: RedisHeld): Handed | undefined {
    this.#handed += 1;
    if (parcel.number < this.#parcel || (parcel.number === this.#parcel && index < this.#count)) return undefined;
    const now = performance.now();
    this.#words = now - this.#lastWord < 1 ? this.#words + 1 : 0;
    this.#lastWord = now;
    const streak = Math.floor(Math.min(MOST, 2 ** (this.#words - STREAK)));
    const ahead = this.#singly || !parcel.isPlain ? 1 : Math.max(this.#ahead(now), streak, 1);
    this.#parcel = parcel.number;
    this.#count = Math.min(parcel.items.length, index + ahead);
    return [this.#parcel, this.#count];
  }

  /**
   * How many items of a parcel of at most `max`, which is asked for now, may be handed over as soon as it is there.
   *
   * @param isAwaited whether a handler waits for the first
   */
  atOnce(max: number, isAwaited: boolean): number {
    const ahead = this.#ahead(performance.now());
    if (ahead > 1) return Math.min(ahead, max);
    return isAwaited && !this.#singly ? 1 : 0;
  }

  /** Whether the server knows all that came as seen, or will hear of it before all else. */
  get hasSaidAll(): boolean {
    return this.#parcel === this.#end[0] && this.#count === this.#end[1];
  }

  /** What came is known to the server as seen so far. */
  said(parcel: Parcel, count: number): void {
    this.#end = [parcel.number, parcel.items.length];
    if (count === 0 || !parcel.isPlain) return;
    this.#parcel = parcel.number;
    this.#count = Math.min(count, parcel.items.length);
  }

  #ahead(now: number): number {
    const passed = now - this.#since;
    if (passed >= MEASURED) {
      this.#pace = Math.floor((this.#handed / passed) * AHEAD);
      this.#handed = 0;
      this.#since = now;
    }
    return this.#singly || this.#pace < FAST ? 1 : this.#pace;
  }
}
