import type { DeadLetterRecord } from '../../driver.ts';

/** How many dead letters a queue keeps: the newest. */
const MOST = 10_000;

/** The dead letters of a queue, the oldest first. */
export class DeadLetters {
  readonly #records: DeadLetterRecord[] = [];
  #last = 0;

  get length(): number {
    return this.#records.length;
  }

  add(letter: Omit<DeadLetterRecord, 'id'>): void {
    this.#last += 1;
    this.#records.push({ id: String(this.#last), ...letter });
    if (this.#records.length > MOST) this.#records.shift();
  }

  /** The oldest `max` behind the one with the id `after`, which need not be there any more. */
  list(after: string | undefined, max: number): DeadLetterRecord[] {
    const from = after === undefined ? 0 : this.#records.findIndex(({ id }) => Number(id) > Number(after));
    return from < 0 ? [] : this.#records.slice(from, from + max);
  }

  /** Takes one out. */
  take(id: string): DeadLetterRecord | undefined {
    const index = this.#records.findIndex((record) => record.id === id);
    return index < 0 ? undefined : this.#records.splice(index, 1)[0];
  }
}
