import { type Delivery, type Share, shareOf } from './delivery.ts';
import type { Body } from './driver.ts';
import type { Hop } from './hop.ts';
import { BATCH_BYTES } from './prefetch.ts';

/** How many items one command carries at most. */
export const COMMAND_ITEMS = 256;

/** So few bytes that as many items as fit into one command fit into its bytes, too. */
const SMALL = BATCH_BYTES / COMMAND_ITEMS;

/** The bytes of a body, or for a small one an upper bound that is had for less: UTF-8 takes at most three for a unit. */
function cost(body: Body): number {
  return body.length * 3 <= SMALL ? body.length * 3 : Buffer.byteLength(body);
}

export type Callback = (error?: Error | null) => void;

/** A value whose writer wants to know what became of it. All others travel bare. */
export class Write {
  readonly value: unknown;
  /** Whether it fails alone, as `send()` promises. */
  readonly alone: boolean;
  readonly delay: number | undefined;
  #done: Callback | undefined;

  constructor(value: unknown, done: Callback, alone: boolean, delay?: number) {
    this.value = value;
    this.alone = alone;
    this.delay = delay;
    this.#done = done;
  }

  /** Whether nobody waits for it any more. */
  get settled(): boolean {
    return this.#done === undefined;
  }

  abandon(): void {
    this.#done = undefined;
  }

  /** Tells its writer, in a tick of its own: what a callback throws shall not meet anybody else. */
  settle(error?: Error | null): void {
    if (!this.#done) return;
    process.nextTick(this.#done, error);
    this.abandon();
  }
}

/** A write that is not to be stored. */
export class Refused {
  readonly write: unknown;
  readonly error: Error;

  constructor(write: unknown, error: Error) {
    this.write = write;
    this.error = error;
  }
}

export function settle(write: unknown, error?: Error): void {
  if (write instanceof Write) write.settle(error);
}

/** What was written: a value, or a delivery of one. */
export function writtenIn(write: unknown): unknown {
  return write instanceof Write ? write.value : write;
}

export function shareIn(write: unknown): Share | undefined {
  return shareOf(writtenIn(write));
}

export function valueIn(write: unknown): unknown {
  const written = writtenIn(write);
  return shareOf(written) ? (written as Delivery).value : written;
}

/** What one command carries, and those of the writes that somebody wants to hear of. */
export class Batch {
  readonly bodies: Body[] = [];
  readonly watched: unknown[] = [];
  readonly delay: number;
  hop: Hop | undefined;
  /** Whose deliveries it settles: one command settles those of one consumer. */
  readonly #consumer: unknown;
  #bytes = 0;

  constructor(delay: number, consumer: unknown) {
    this.delay = delay;
    this.#consumer = consumer;
  }

  /** Takes an item along, if it can: the first always. */
  take(body: Body, delay: number, consumer: unknown): boolean {
    const bytes = this.#bytes + cost(body);
    const fits = delay === this.delay && consumer === this.#consumer && bytes <= BATCH_BYTES;
    if (!fits && this.bodies.length > 0) return false;
    this.#bytes = bytes;
    this.bodies.push(body);
    return true;
  }
}
