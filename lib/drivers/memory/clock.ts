/** Something that will be done at its time. */
export interface Timer {
  cancel(): void;
  /** Whether the process shall stay alive for it; at first it does not. */
  keepAlive(yes: boolean): void;
}

/** What a store knows of time. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Runs something once, in `delay` milliseconds or a little earlier. */
  setTimer(delay: number, run: () => void): Timer;
}

/** The most that a timer of Node can bear, in milliseconds. */
const LONGEST = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: Date.now,
  setTimer(delay, run) {
    const timer = setTimeout(run, Math.min(Math.max(1, delay), LONGEST)).unref();
    return {
      cancel: () => clearTimeout(timer),
      keepAlive: (yes) => {
        if (yes) timer.ref();
        else timer.unref();
      },
    };
  },
};

/** Time that stands still until it is moved on. */
export class ManualClock implements Clock {
  #now: number;
  readonly #timers = new Set<{ readonly at: number; readonly run: () => void }>();

  /** @param now milliseconds since 1970 */
  constructor(now: number) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  setTimer(delay: number, run: () => void): Timer {
    const timer = { at: this.#now + Math.max(0, delay), run };
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer), keepAlive: () => {} };
  }

  /** Moves on by `milliseconds`; what falls due is run in the order of time, each followed by what `settled` waits for. */
  async advance(milliseconds: number, settled: () => Promise<void>): Promise<void> {
    const end = this.#now + milliseconds;
    await settled();
    for (let next = this.#nextUntil(end); next; next = this.#nextUntil(end)) {
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.run();
      await settled();
    }
    this.#now = Math.max(this.#now, end);
  }

  #nextUntil(end: number): { readonly at: number; readonly run: () => void } | undefined {
    const due = [...this.#timers].filter(({ at }) => at <= end);
    return due.reduce<(typeof due)[number] | undefined>(
      (first, one) => (first && first.at <= one.at ? first : one),
      undefined,
    );
  }
}
