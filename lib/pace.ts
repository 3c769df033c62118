/** How long what is fetched ahead shall last, in milliseconds. */
const AHEAD = 10;

/**
 * Measures how many items a consumer gets through in about 10 ms: no more should be fetched ahead of it, for others could work
 * on them meanwhile. A worker of 50 ms an item is worth none, one of 2 µs thousands.
 */
export class Pace {
  #since = performance.now();
  #count = 0;
  #measured = 0;

  /** Says that so many items are done with. */
  add(count: number): void {
    this.#count += count;
    const elapsed = performance.now() - this.#since;
    if (elapsed < AHEAD) return;
    this.#measured = Math.floor((this.#count * AHEAD) / elapsed);
    this.#count = 0;
    this.#since += elapsed;
  }

  /** Items in about 10 ms, as last seen. */
  get items(): number {
    return Math.max(this.#measured, this.#count);
  }
}
