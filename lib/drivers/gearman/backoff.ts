/** The first and the longest time to wait, in milliseconds. */
const FIRST = 10;
const LONGEST = 1000;

/** Waits before something that has failed is tried again, each time twice as long, up to a second. */
export class Backoff {
  #delay = FIRST;
  #timer: NodeJS.Timeout | undefined;

  /** Runs it after a while; once, however often that is asked for. */
  retry(run: () => void): void {
    if (this.#timer) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      run();
    }, this.#delay);
    this.#delay = Math.min(2 * this.#delay, LONGEST);
  }

  get isWaiting(): boolean {
    return this.#timer !== undefined;
  }

  /** It has succeeded. */
  reset(): void {
    this.#delay = FIRST;
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
