import type {
  Body,
  ConnectionStats,
  DriverConnection,
  DriverOptions,
  Receiver,
  ReceiverOptions,
  Sender,
  SenderOptions,
  Side,
} from '../driver.ts';
import { MillraceError } from '../errors.ts';

/** The stores that have a name, for the life of the process. */
const named = new Map<string, Store>();

/** `memory:` is a store of its own each time, `memory:name` one that the whole process shares. */
export function connectMemory(url: string, options: DriverOptions): DriverConnection {
  const name = url.slice(url.indexOf(':') + 1);
  if (name === '') return new MemoryConnection(new Store(), options);
  return new MemoryConnection(entry(named, name, Store), options);
}

/** What a map has under a name, made where there is nothing yet. */
function entry<T>(map: Map<string, T>, name: string, Type: new () => T): T {
  const found = map.get(name) ?? new Type();
  map.set(name, found);
  return found;
}

/** An item that no stream could read. */
interface DeadLetter {
  readonly bytes: Buffer;
  readonly reason: string;
  readonly time: number;
}

/** How many dead letters a queue keeps: the newest. */
const DEAD_LETTERS = 10_000;

class Store {
  readonly #queues = new Map<string, Queue>();

  queue(name: string): Queue {
    return entry(this.#queues, name, Queue);
  }
}

/** A list with two ends. Items go in at the left and out at the right, so the array is kept the other way round. */
class Items {
  #array: Buffer[] = [];
  /** Where the rightmost item is: what lies before it has been taken. */
  #right = 0;

  get length(): number {
    return this.#array.length - this.#right;
  }

  put(side: Side, item: Buffer): void {
    if (side === 'left') this.#array.push(item);
    else if (this.#right > 0) this.#array[--this.#right] = item;
    else this.#array.unshift(item);
  }

  take(side: Side, max: number): Buffer[] {
    const count = Math.min(max, this.length);
    if (side === 'left') return this.#array.splice(this.#array.length - count, count).reverse();
    const taken = this.#array.slice(this.#right, this.#right + count);
    this.#array.fill(undefined as never, this.#right, this.#right + count);
    this.#right += count;
    if (this.#right > this.#array.length / 2) {
      this.#array = this.#array.slice(this.#right);
      this.#right = 0;
    }
    return taken;
  }
}

/** Who waits for a queue to change: first come, first served. */
class Waiting {
  readonly #attempts = new Set<() => boolean>();

  /** Tries at once, and after each change until `attempt` answers true. */
  add(attempt: () => boolean): void {
    if (!attempt()) this.#attempts.add(attempt);
  }

  delete(attempt: () => boolean): void {
    this.#attempts.delete(attempt);
  }

  retry(): void {
    for (const attempt of this.#attempts) if (attempt()) this.#attempts.delete(attempt);
  }
}

class Queue {
  readonly dead: DeadLetter[] = [];
  readonly receivers = new Waiting();
  readonly senders = new Waiting();
  readonly #items = new Items();

  get length(): number {
    return this.#items.length;
  }

  put(side: Side, items: Iterable<Buffer>): void {
    for (const item of items) this.#items.put(side, item);
    this.receivers.retry();
  }

  take(side: Side, max: number): Buffer[] {
    const items = this.#items.take(side, max);
    if (items.length > 0) this.senders.retry();
    return items;
  }
}

class MemoryConnection implements DriverConnection {
  readonly #store: Store;
  readonly #prefix: string;

  constructor(store: Store, options: DriverOptions) {
    this.#store = store;
    this.#prefix = options.prefix;
  }

  async ready(): Promise<void> {}

  sender(queue: string, options: SenderOptions): Sender {
    return new MemorySender(this.#store.queue(this.#prefix + queue), options);
  }

  receiver(queue: string, options: ReceiverOptions): Receiver {
    return new MemoryReceiver(this.#store.queue(this.#prefix + queue), options);
  }

  stats(): ConnectionStats {
    return { clients: 0, waiting: 0 };
  }

  async close(): Promise<void> {}
}

class MemorySender implements Sender {
  readonly #queue: Queue;
  readonly #side: Side;
  readonly #maxLength: number;
  /** The sends that wait for room, each with how to give it up. */
  readonly #waiting = new Map<() => boolean, (reason: Error) => void>();

  constructor(queue: Queue, options: SenderOptions) {
    this.#queue = queue;
    this.#side = options.side;
    this.#maxLength = options.maxLength ?? Number.POSITIVE_INFINITY;
  }

  send(batch: readonly Body[]): Promise<void> {
    // Copied, as a broker would: what is stored does not change when its writer's bytes do.
    let rest = batch.map((body) => Buffer.from(body as Buffer));
    return new Promise((resolve, reject) => {
      const storeWhatFits = (): boolean => {
        // More than once: what is put may be taken at once, which makes new room.
        for (let room = this.#room; room > 0 && rest.length > 0; room = this.#room) {
          const fitting = rest.slice(0, room);
          rest = rest.slice(room);
          this.#queue.put(this.#side, fitting);
        }
        if (rest.length > 0) return false;
        this.#waiting.delete(storeWhatFits);
        resolve();
        return true;
      };
      this.#waiting.set(storeWhatFits, reject);
      this.#queue.senders.add(storeWhatFits);
    });
  }

  get #room(): number {
    return this.#maxLength - this.#queue.length;
  }

  async close(): Promise<void> {
    for (const [attempt, reject] of this.#waiting) {
      this.#queue.senders.delete(attempt);
      reject(new MillraceError('CLOSED', 'The stream was closed while items waited for room in the queue'));
    }
    this.#waiting.clear();
  }
}

class MemoryReceiver implements Receiver {
  readonly #queue: Queue;
  readonly #side: Side;
  #cancel: (() => void) | undefined;

  constructor(queue: Queue, options: ReceiverOptions) {
    this.#queue = queue;
    this.#side = options.side;
  }

  receive(max: number): Promise<Buffer[]> {
    return new Promise((resolve) => {
      const take = (): boolean => {
        const items = this.#queue.take(this.#side, max);
        if (items.length === 0) return false;
        resolve(items);
        return true;
      };
      this.#cancel = () => {
        this.#queue.receivers.delete(take);
        resolve([]);
      };
      this.#queue.receivers.add(take);
    });
  }

  cancel(): void {
    this.#cancel?.();
  }

  async giveBack(items: readonly Buffer[]): Promise<void> {
    this.#queue.put(this.#side, items.toReversed());
  }

  async deadLetter(bytes: Buffer, reason: string): Promise<void> {
    this.#queue.dead.push({ bytes, reason, time: Date.now() });
    if (this.#queue.dead.length > DEAD_LETTERS) this.#queue.dead.shift();
  }

  async close(): Promise<void> {
    this.cancel();
  }
}
