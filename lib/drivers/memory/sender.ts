import type { Body, Sender, SenderOptions, SendingOptions } from '../../driver.ts';
import { MillraceError } from '../../errors.ts';
import type { MemoryConsumer } from './consumer.ts';
import type { Queue } from './queue.ts';

/** A batch that is not stored yet. */
interface Sending {
  rest: Buffer[];
  readonly delay: number;
  readonly settles: SendingOptions['settles'];
  resolve(stored: boolean): void;
  reject(error: Error): void;
}

export class MemorySender implements Sender {
  readonly #find: () => Queue;
  readonly #options: SenderOptions;
  readonly #maxLength: number;
  /** In the order sent: only the first is tried. */
  readonly #sendings: Sending[] = [];
  /** How many items have got a number. */
  #numbered = 0;
  #closed = false;

  /** @param find its queue as it is now */
  constructor(find: () => Queue, options: SenderOptions) {
    this.#find = find;
    this.#options = options;
    this.#maxLength = options.maxLength ?? Number.POSITIVE_INFINITY;
  }

  send(batch: readonly Body[], { delay = 0, settles }: SendingOptions = {}): Promise<boolean> {
    if (this.#closed) return Promise.reject(closed());
    // Copied, as a broker would: what is stored does not change when its writer's bytes do.
    const rest = batch.map((body) => Buffer.from(body as Buffer));
    return new Promise((resolve, reject) => {
      this.#sendings.push({ rest, delay, settles, resolve, reject });
      if (this.#sendings.length === 1) this.#find().wait('senders', this.#attempt);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#find().giveUp(this.#attempt);
    for (const { reject } of this.#sendings.splice(0)) reject(closed());
  }

  readonly #attempt = (): boolean => {
    for (let first = this.#sendings[0]; first; first = this.#sendings[0]) {
      const stored = this.#store(first);
      if (stored === undefined) return false;
      this.#sendings.shift();
      first.resolve(stored);
    }
    return true;
  };

  /** Stores a batch, or what fits of it. Answers with nothing while some of it waits for room. */
  #store(sending: Sending): boolean | undefined {
    const consumer = sending.settles?.consumer as MemoryConsumer | undefined;
    const items = sending.settles?.items ?? [];
    if (consumer && !consumer.holds(items)) return false;
    const queue = this.#find();
    this.#skip(queue, sending);
    // More than once: what is put in may be taken at once, which makes new room.
    while (sending.rest.length > 0) {
      const fitting = this.#fitting(queue, sending);
      if (fitting === 0) return undefined;
      // First: whoever takes the items at once shall find that those they were made of are settled.
      consumer?.acknowledge(items);
      this.#number(queue, fitting);
      queue.push(this.#options.side, sending.rest.splice(0, fitting), sending.delay);
      if (consumer) return true;
    }
    consumer?.acknowledge(items);
    return true;
  }

  /** How many items of a batch can be stored now: of one that settles something all or none. */
  #fitting(queue: Queue, { rest, delay, settles }: Sending): number {
    if (delay > 0) return rest.length;
    const room = this.#maxLength - queue.length;
    if (rest.length <= room) return rest.length;
    if (!settles) return Math.max(0, room);
    return queue.length === 0 ? rest.length : 0;
  }

  /** Leaves out the items that its producer had stored before, in an earlier life. */
  #skip(queue: Queue, { rest }: Sending): void {
    const { producer } = this.#options;
    if (producer === undefined) return;
    const known = Math.min(rest.length, Math.max(0, queue.lastOf(producer) - this.#numbered));
    rest.splice(0, known);
    this.#numbered += known;
  }

  #number(queue: Queue, count: number): void {
    this.#numbered += count;
    if (this.#options.producer !== undefined) queue.note(this.#options.producer, this.#numbered);
  }
}

function closed(): MillraceError {
  return new MillraceError('CLOSED', 'The stream was closed before these items were stored');
}
