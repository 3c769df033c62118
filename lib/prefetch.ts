/** The most bytes, about, that one command asks for or sends. */
export const BATCH_BYTES = 1024 * 1024;

/**
 * Decides how many items a puller asks for at a time. It starts at one, doubles while the broker has as many as were asked
 * for, and stays within about 1 MiB and a part of `highWaterMark`: one part is on its way while the others are decoded and read. (Of halves, five
 * eighths make fewer commands, and are a little faster for who takes values as they come, a seventh slower for `for await`.)
 */
export class Prefetch {
  readonly #highWaterMark: number;
  readonly #part: number;
  #pace = 1;
  #itemBytes = 1;

  /** @param parts how many there are, 2 or more */
  constructor(highWaterMark: number, parts = 2) {
    this.#highWaterMark = Math.max(1, highWaterMark);
    this.#part = Math.ceil(this.#highWaterMark / parts);
  }

  /** How many to ask for while `held` are held or on their way; 0: not yet. */
  next(held: number): number {
    const most = Math.max(1, Math.floor(BATCH_BYTES / this.#itemBytes));
    const wanted = Math.min(this.#pace, this.#part, most);
    return this.#highWaterMark - held >= wanted ? wanted : 0;
  }

  /** What an ask brought. */
  received(asked: number, items: readonly Buffer[]): void {
    if (items.length === 0) return;
    if (items.length === asked) this.#pace = Math.min(asked * 2, this.#part);
    let bytes = 0;
    for (const item of items) bytes += item.length;
    this.#itemBytes = Math.max(1, bytes / items.length);
  }
}
