import { Expiring } from '../../expiring.ts';
import type { Clock } from './clock.ts';

/** The requests of a queue that nobody wants answered any more, as long as they may have to be known. */
export class Cancelled {
  readonly #names: Expiring;
  readonly listeners = new Set<(request: string) => void>();

  constructor(clock: Clock) {
    this.#names = new Expiring(() => clock.now());
  }

  add(request: string, until: number): void {
    if (!this.#names.add(request, until)) return;
    for (const listener of this.listeners) process.nextTick(listener, request);
  }

  has(request: string): boolean {
    return this.#names.has(request);
  }
}
