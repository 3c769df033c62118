/** How many names there may always be before it is looked which of them are over. */
const LEAST = 100;

/**
 * Names, each known until its own time. Those that are over go when there are twice as many names as were left the last time: each costs
 * next to nothing, and no more than half of them, and {@link LEAST}, are kept in vain.
 */
export class Expiring {
  readonly #now: () => number;
  readonly #until = new Map<string, number>();
  #most = LEAST;

  /** @param now the time, of any clock, in which it is told until when a name is known */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** How many names are kept, also of those that are over. */
  get size(): number {
    return this.#until.size;
  }

  /** Adds a name, or has it known for longer; gives whether it was not known. */
  add(name: string, until: number): boolean {
    const isNew = !this.has(name);
    if (this.#until.size >= this.#most) this.#clear();
    this.#until.set(name, Math.max(until, this.#until.get(name) ?? until));
    return isNew;
  }

  has(name: string): boolean {
    return this.#until.size > 0 && (this.#until.get(name) ?? Number.NEGATIVE_INFINITY) > this.#now();
  }

  #clear(): void {
    const now = this.#now();
    for (const [name, until] of this.#until) if (until <= now) this.#until.delete(name);
    this.#most = Math.max(LEAST, 2 * this.#until.size);
  }
}
