/** The most bytes, about, that one command asks for or sends. */
export const BATCH_BYTES = 1024 * 1024;

/**
 * Decides how many items a puller asks for at a time. It starts at one, doubles while the broker has as many as were asked
 * for, and stays within about 1 MiB and half of `highWaterMark`: one half is on its way while the other is decoded and read. (Five
 * eighths make fewer commands, and are a little faster for who takes values as they come, a seventh slower for `for await`.)
 */
export class Prefetch {
  readonly #highWaterMark: number;
  readonly #half: number;
  #pace = 1;
  #itemBytes = 1;

  constructor(highWaterMark: number) {
    this.#highWaterMark = Math.max(1, highWaterMark);
    this.#half = Math.ceil(this.#highWaterMark / 2);
  }

  /** How many to ask for while `held` are held or on their way; 0: not yet. */
  next(held: number): number {
    const most = Math.max(1, Math.floor(BATCH_BYTES / this.#itemBytes));
    const wanted = Math.min(this.#pace, this.#half, most);
    return this.#highWaterMark - held >= wanted ? wanted : 0;
  }

  /** What an ask brought. */
  received(asked: number, items: readonly Buffer[]): void {
    if (items.length === 0) return;
    if (items.length === asked) this.#pace = Math.min(asked * 2, this.#half);
    let bytes = 0;
    for (const item of items) bytes += item.length;
    this.#itemBytes = Math.max(1, bytes / items.length);
  }
}
