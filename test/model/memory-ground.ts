import type { Consumer, DriverConnection } from '../../lib/driver.ts';
import { ManualClock } from '../../lib/drivers/memory/clock.ts';
import { MemoryConnection } from '../../lib/drivers/memory/connection.ts';
import type { MemoryConsumer } from '../../lib/drivers/memory/consumer.ts';
import { Store } from '../../lib/drivers/memory/store.ts';
import type { Ground } from './ground.ts';
import { STEP } from './model.ts';

const nothing = async (): Promise<void> => {};

/** The driver in this process. It has no connections that could break. */
export class MemoryGround implements Ground {
  readonly name = 'memory';
  readonly #clock = new ManualClock(1_000_000);
  #store = new Store(this.#clock);

  async connect(): Promise<DriverConnection> {
    return new MemoryConnection(this.#store, { prefix: '' });
  }

  async crash(_connection: DriverConnection, consumer: Consumer): Promise<void> {
    (consumer as MemoryConsumer).crash();
  }

  /** Here only the dead say nothing. */
  stall(consumer: Consumer): void {
    (consumer as MemoryConsumer).crash();
  }

  wake(_consumer: Consumer, make: () => Consumer): Consumer {
    return make();
  }

  step(): Promise<void> {
    return this.#clock.advance(STEP, nothing);
  }

  loseAnswer(): Promise<void> {
    return nothing();
  }

  waits(): Promise<void> {
    return nothing();
  }

  async leftovers(): Promise<string[]> {
    return [];
  }

  async clear(): Promise<void> {
    this.#store = new Store(this.#clock);
  }

  close(): Promise<void> {
    return nothing();
  }
}
