/** An item of a queue. */
export interface Item {
  readonly bytes: Buffer;
  /** How many attempts at it have been made. */
  readonly attempts: number;
  /** How many consumers have died in the middle of one. */
  readonly deaths: number;
  /** Since when it can be had, in milliseconds since 1970. */
  readonly since: number;
}

/** A list with two ends: items are had from the right one, as a rule. */
export class Items {
  /** What was put in at the right of all others, the rightmost last. */
  #right: Item[] = [];
  /** All others, the rightmost first, behind those that were taken. */
  #left: Item[] = [];
  #taken = 0;

  get length(): number {
    return this.#right.length + this.#left.length - this.#taken;
  }

  /** The item at an end. */
  peek(side: 'left' | 'right'): Item | undefined {
    if (side === 'right') return this.#right.at(-1) ?? this.#left[this.#taken];
    return this.#left.length > this.#taken ? this.#left.at(-1) : this.#right[0];
  }

  /** Puts items in at an end, one after the other. */
  put(side: 'left' | 'right', items: Iterable<Item>): void {
    const array = side === 'left' ? this.#left : this.#right;
    for (const item of items) array.push(item);
  }

  /** Puts items in so that they are at the right end, the first of them rightmost. */
  putFirst(items: readonly Item[]): void {
    this.put('right', items.toReversed());
  }

  /** Takes at most `max` items from an end, one after the other. */
  take(side: 'left' | 'right', max: number): Item[] {
    const count = Math.min(max, this.length);
    const taken: Item[] = [];
    while (taken.length < count) taken.push((side === 'right' ? this.#takeRight() : this.#takeLeft()) as Item);
    if (this.#taken > this.#left.length / 2) {
      this.#left = this.#left.slice(this.#taken);
      this.#taken = 0;
    }
    return taken;
  }

  /** Takes out the leftmost item with these bytes; gives whether there was one. */
  remove(bytes: Buffer): boolean {
    const isMeant = (item: Item | undefined): boolean => item?.bytes.equals(bytes) ?? false;
    const left = this.#left.findLastIndex(isMeant);
    if (left >= 0) return this.#left.splice(left, 1).length > 0;
    const right = this.#right.findIndex(isMeant);
    return right >= 0 && this.#right.splice(right, 1).length > 0;
  }

  /** All, from the right. */
  *[Symbol.iterator](): Iterator<Item> {
    for (let i = this.#right.length - 1; i >= 0; i -= 1) yield this.#right[i] as Item;
    for (let i = this.#taken; i < this.#left.length; i += 1) yield this.#left[i] as Item;
  }

  #takeRight(): Item | undefined {
    if (this.#right.length > 0) return this.#right.pop();
    const item = this.#left[this.#taken];
    // Not kept alive by the array.
    this.#left[this.#taken++] = undefined as never;
    return item;
  }

  #takeLeft(): Item | undefined {
    if (this.#left.length === this.#taken) this.#turnOver();
    return this.#left.pop();
  }

  /** Has all at the left, where it can be had from both ends. */
  #turnOver(): void {
    this.#left = this.#right.reverse();
    this.#right = [];
    this.#taken = 0;
  }
}

/** Items that are due later, at their `since`: by that time, and then in the order in which they came. */
export class Delayed {
  readonly #items: Item[] = [];

  get length(): number {
    return this.#items.length;
  }

  /** When the first is due: infinity when there is none. */
  get next(): number {
    return this.#items[0]?.since ?? Number.POSITIVE_INFINITY;
  }

  add(item: Item): void {
    this.#items.splice(this.#countDue(item.since), 0, item);
  }

  /** Takes those that are due by `now`. */
  takeDue(now: number): Item[] {
    return this.#items.splice(0, this.#countDue(now));
  }

  #countDue(now: number): number {
    let [from, to] = [0, this.#items.length];
    while (from < to) {
      const middle = (from + to) >>> 1;
      if ((this.#items[middle] as Item).since <= now) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}
