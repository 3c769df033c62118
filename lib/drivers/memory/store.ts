import { type Clock, systemClock } from './clock.ts';
import type { MemoryConsumer } from './consumer.ts';
import { Inboxes } from './inboxes.ts';
import { DAY, Queue } from './queue.ts';

/** What a broker would have: queues by name. */
export class Store {
  readonly clock: Clock;
  readonly inboxes = new Inboxes();
  /** Called after each change of a queue. */
  onChange: (() => void) | undefined;
  readonly #queues = new Map<string, Queue>();
  #swept: number;

  constructor(clock: Clock = systemClock) {
    this.clock = clock;
    this.#swept = clock.now();
  }

  /** A queue by its name, with its prefix: made where there is none. One that is out of use may be another one a day later. */
  queue(name: string): Queue {
    const found = this.#queues.get(name);
    if (found && !found.isForgotten) return found;
    this.#sweep();
    const made = new Queue(this.clock, this.inboxes, () => this.onChange?.());
    this.#queues.set(name, made);
    return made;
  }

  /** The queues that are not forgotten, by their names with their prefixes. */
  get queues(): ReadonlyMap<string, Queue> {
    return this.#queues;
  }

  get consumers(): MemoryConsumer[] {
    return Array.from(this.#queues.values(), ({ consumers }) => [...consumers.values()]).flat();
  }

  #sweep(): void {
    if (this.clock.now() - this.#swept < DAY) return;
    this.#swept = this.clock.now();
    for (const [name, queue] of this.#queues) if (queue.isForgotten) this.#queues.delete(name);
  }
}
