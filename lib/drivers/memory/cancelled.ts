import type { Clock } from './clock.ts';

/** The requests of a queue that nobody wants answered any more, as long as they may have to be known. */
export class Cancelled {
  readonly #clock: Clock;
  readonly #until = new Map<string, number>();
  readonly listeners = new Set<(request: string) => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(request: string, until: number): void {
    const now = this.#clock.now();
    for (const [name, end] of this.#until) if (end <= now) this.#until.delete(name);
    this.#until.set(request, until);
    for (const listener of this.listeners) process.nextTick(listener, request);
  }

  has(request: string): boolean {
    return (this.#until.get(request) ?? 0) > this.#clock.now();
  }
}
