/** For how many items there is room at first; a power of two, as it is ever after. */
const ROOM = 16;

/**
 * What was put in first is had first. An array does, too, but its `shift()` costs more the longer it is. Here the items go round in a ring,
 * which grows with them, and stays as large.
 */
export class Fifo<T> implements Iterable<T> {
  #ring: (T | undefined)[] = new Array(ROOM).fill(undefined);
  /** Where the first is. */
  #first = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(item: T): void {
    if (this.#size === this.#ring.length) this.#grow();
    this.#ring[this.#placeOf(this.#size)] = item;
    this.#size += 1;
  }

  /** Takes the first out; nothing where there is none. */
  take(): T | undefined {
    if (this.#size === 0) return undefined;
    const item = this.#ring[this.#first];
    // Not kept alive by the ring.
    this.#ring[this.#first] = undefined;
    this.#first = this.#placeOf(1);
    this.#size -= 1;
    return item;
  }

  /** Takes all out, and gives them. */
  empty(): T[] {
    const items = [...this];
    this.#ring = new Array(ROOM).fill(undefined);
    this.#first = 0;
    this.#size = 0;
    return items;
  }

  /** All, the first first. */
  *[Symbol.iterator](): Iterator<T> {
    for (let index = 0; index < this.#size; index += 1) yield this.#ring[this.#placeOf(index)] as T;
  }

  /** Where in the ring the item is before which there are so many. */
  #placeOf(index: number): number {
    return (this.#first + index) & (this.#ring.length - 1);
  }

  #grow(): void {
    const items: (T | undefined)[] = [...this];
    this.#ring = items.concat(new Array(items.length).fill(undefined));
    this.#first = 0;
  }
}
