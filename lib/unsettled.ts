import type { Receipt } from './delivery.ts';
import type { MillraceError } from './errors.ts';

/** What a stream holds that is not settled. It warns, once, where that is as much as may be, all in use, and nothing is settled of it. */
export class Unsettled {
  readonly #queue: string;
  readonly #most: number;
  readonly #leaseTimeout: number;
  readonly #isInUse: () => boolean;
  /** All that is not settled, and maybe some that are. */
  #receipts: Receipt[] = [];
  #size = 0;
  #settlements = 0;
  #settledAll: (() => void) | undefined;
  #watch: NodeJS.Timeout | undefined;
  #hasWarned = false;

  /**
   * @param most how many it may be
   * @param leaseTimeout for how many milliseconds nothing may be settled of as many
   * @param isInUse says whether all are in somebody's hands
   */
  constructor(queue: string, most: number, leaseTimeout: number, isInUse: () => boolean) {
    this.#queue = queue;
    this.#most = most;
    this.#leaseTimeout = leaseTimeout;
    this.#isInUse = isInUse;
  }

  /** How many are not settled. */
  get size(): number {
    return this.#size;
  }

  /** How many more there may be. */
  get room(): number {
    return this.#most - this.#size;
  }

  /** How many have been settled in all. */
  get settlements(): number {
    return this.#settlements;
  }

  add(receipts: readonly Receipt[]): void {
    this.#size += receipts.length;
    if (this.#receipts.length > 2 * this.#size) this.#receipts = this.#receipts.filter(({ isOver }) => !isOver);
    this.#receipts.push(...receipts);
  }

  /** One is on its way to be settled, or lost. */
  free(): void {
    this.#size -= 1;
    this.#settlements += 1;
  }

  /** The hop is over that one was on its way for: where that has not settled it, it counts again. */
  unclaim(settled: boolean): void {
    if (!settled) this.#size += 1;
    this.check();
  }

  /** Resolves when all are settled, as {@link check} finds. */
  none(): Promise<void> {
    return new Promise((resolve) => {
      this.#settledAll = resolve;
      this.check();
    });
  }

  /** Looks whether all are settled, also those that are on their way to be. */
  check(): void {
    if (this.#settledAll && this.#receipts.every(({ isOver }) => isOver)) this.#settledAll();
  }

  /** Nothing is held any more from now on, and nobody has settled it. */
  lose(why: MillraceError): void {
    clearTimeout(this.#watch);
    for (const receipt of this.#receipts) if (receipt.isHeld) receipt.lose(why);
  }

  /** Looks after one lease whether anything has been settled, where there are as many as may be. */
  watch(): void {
    if (this.room > 0 || this.#watch || this.#hasWarned) return;
    const before = this.#settlements;
    this.#watch = setTimeout(() => this.#look(before), this.#leaseTimeout).unref();
  }

  #look(before: number): void {
    this.#watch = undefined;
    if (this.room > 0 || !this.#isInUse()) return;
    if (this.#settlements > before) this.watch();
    else this.#warn();
  }

  #warn(): void {
    this.#hasWarned = true;
    const message =
      `All ${this.#size} deliveries that the stream of queue "${this.#queue}" may hold have been in use for ` +
      `${this.#leaseTimeout} ms, and none was settled, so it takes no more. Settle each one by ack(), retry(), ` +
      'reject() or release(), also those that a filter drops; or allow for more by highWaterMark.';
    process.emitWarning(message, { code: 'MILLRACE_UNSETTLED' });
  }
}
