/** The most bytes, about, that one command asks for or sends. */
export const BATCH_BYTES = 1024 * 1024;

/**
 * The part of `highWaterMark` that is asked for at most: what is left of it is read while the ask is on its way. Larger asks cost
 * fewer commands, smaller ones leave more to read meanwhile; measured, this is where neither client nor broker waits.
 */
const SHARE = 5 / 8;

/**
 * Decides how many items a puller asks for at a time. It starts at one, doubles while the broker has as many as were asked
 * for, and stays within a share of `highWaterMark` and about 1 MiB.
 */
export class Prefetch {
  readonly #highWaterMark: number;
  readonly #share: number;
  #pace = 1;
  #itemBytes = 1;

  constructor(highWaterMark: number) {
    this.#highWaterMark = Math.max(1, highWaterMark);
    this.#share = Math.ceil(this.#highWaterMark * SHARE);
  }

  /** How many to ask for while `held` are held or on their way; 0: not yet. */
  next(held: number): number {
    const most = Math.max(1, Math.floor(BATCH_BYTES / this.#itemBytes));
    const wanted = Math.min(this.#pace, this.#share, most);
    return this.#highWaterMark - held >= wanted ? wanted : 0;
  }

  /** What an ask brought. */
  received(asked: number, items: readonly Uint8Array[]): void {
    if (items.length === 0) return;
    if (items.length === asked) this.#pace = Math.min(asked * 2, this.#share);
    let bytes = 0;
    for (const item of items) bytes += item.byteLength;
    this.#itemBytes = Math.max(1, bytes / items.length);
  }
}
