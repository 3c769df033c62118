/** What can be in one {@link Bag} at a time. */
export interface Bagged {
  /** Where it is in its bag, for the bag alone: -1 when it is in none. */
  place: number;
}

/**
 * A set in no order, for what comes and goes hundreds of thousands of times a second. A Set would do, but for the garbage collector: V8
 * makes a Set a new table after so many changes, the table before points to it, and once one of them has grown old all that come after are
 * taken for alive, with all that was in them, until the next full collection.
 */
export class Bag<T extends Bagged> implements Iterable<T> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  add(item: T): void {
    item.place = this.#items.length;
    this.#items.push(item);
  }

  /** Takes an item out; gives whether it was there. */
  delete(item: T): boolean {
    const { place } = item;
    if (place < 0) return false;
    item.place = -1;
    const last = this.#items.pop() as T;
    if (last !== item) {
      last.place = place;
      this.#items[place] = last;
    }
    return true;
  }

  /** Takes all out, and gives them. */
  empty(): T[] {
    for (const item of this.#items) item.place = -1;
    return this.#items.splice(0);
  }

  [Symbol.iterator](): Iterator<T> {
    return this.#items.values();
  }
}
