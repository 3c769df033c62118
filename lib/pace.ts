/** How long what is fetched ahead shall last, in milliseconds. */
const AHEAD = 10;

/**
 * Measures how many items a consumer gets through in about 10 ms: no more should be fetched ahead of it, for others could work
 * on them meanwhile. A worker of 50 ms an item is worth none, one of 2 µs thousands.
 */
export class Pace {
  readonly #now: () => number;
  #since: number;
  #restingSince: number | undefined;
  #count = 0;
  #measured = 0;

  /** @param now a clock, in milliseconds; default: that of the process */
  constructor(now = () => performance.now()) {
    this.#now = now;
    this.#since = now();
  }

  /** Says that so many items are done with. */
  add(count: number): void {
    this.#count += count;
    const now = this.#restingSince ?? this.#now();
    const elapsed = now - this.#since;
    if (elapsed < AHEAD) return;
    this.#measured = Math.floor((this.#count * AHEAD) / elapsed);
    this.#count = 0;
    this.#since = now;
  }

  /** Says that the consumer has nothing to work on: until {@link work} no time counts. */
  rest(): void {
    this.#restingSince ??= this.#now();
  }

  /** Says that the consumer has something to work on again. */
  work(): void {
    if (this.#restingSince === undefined) return;
    this.#since += this.#now() - this.#restingSince;
    this.#restingSince = undefined;
  }

  /** Items in about 10 ms, as last seen. */
  get items(): number {
    return Math.max(this.#measured, this.#count);
  }

  /** How many more to fetch ahead while so many are; 0: not yet. It waits until half are gone, so that asks stay few. */
  room(ahead: number): number {
    return ahead * 2 > this.items ? 0 : this.items - ahead;
  }
}
