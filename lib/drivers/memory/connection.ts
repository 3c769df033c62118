import type {
  Cancellations,
  CancelledRequest,
  ConnectionStats,
  Consumer,
  ConsumerOptions,
  DeadLetterRecord,
  DriverConnection,
  DriverOptions,
  Inbox,
  QueueInfo,
  Receiver,
  ReceiverOptions,
  Reply,
  Sender,
  SenderOptions,
} from '../../driver.ts';
import { cancelledName } from '../../packet.ts';
import { MemoryConsumer } from './consumer.ts';
import type { Queue } from './queue.ts';
import { MemoryReceiver } from './receiver.ts';
import { MemorySender } from './sender.ts';
import { Store } from './store.ts';

/** The stores that have a name, for the life of the process. */
const named = new Map<string, Store>();

/** `memory:` is a store of its own each time, `memory:name` one that the whole process shares. */
export function connectMemory(url: string, options: DriverOptions): DriverConnection {
  const name = url.slice(url.indexOf(':') + 1);
  const store = named.get(name) ?? new Store();
  if (name !== '') named.set(name, store);
  return new MemoryConnection(store, options);
}

/** A broker in this process: the executable specification of what a driver does. */
export class MemoryConnection implements DriverConnection {
  readonly #store: Store;
  readonly #prefix: string;

  constructor(store: Store, options: Pick<DriverOptions, 'prefix'>) {
    this.#store = store;
    this.#prefix = options.prefix;
  }

  async ready(): Promise<void> {}

  sender(queue: string, options: SenderOptions): Sender {
    return new MemorySender(() => this.#queue(queue), options);
  }

  receiver(queue: string, options: ReceiverOptions): Receiver {
    return new MemoryReceiver(() => this.#queue(queue), options);
  }

  consumer(queue: string, options: ConsumerOptions): Consumer {
    return new MemoryConsumer(this, this.#queue(queue), queue, this.#store.clock, options);
  }

  now(): number {
    return this.#store.clock.now();
  }

  inbox(onReplies: (message: string) => void): Inbox {
    return this.#store.inboxes.open(onReplies);
  }

  async reply(replies: readonly Reply[]): Promise<void> {
    this.#store.inboxes.publish(replies);
  }

  async cancel(queue: string, request: CancelledRequest): Promise<void> {
    this.#queue(queue).cancel(Buffer.from(request.body), cancelledName(request), request.until);
  }

  cancellations(queue: string, onCancelled: (request: string) => void): Cancellations {
    const { cancelled } = this.#queue(queue);
    cancelled.listeners.add(onCancelled);
    return {
      ready: Promise.resolve(),
      has: (request) => cancelled.has(cancelledName(request)),
      close: () => cancelled.listeners.delete(onCancelled),
    };
  }

  async inspect(queue: string): Promise<QueueInfo> {
    return this.#queue(queue).inspect();
  }

  async *queues(): AsyncIterableIterator<string> {
    for (const [name, queue] of this.#store.queues) {
      if (queue.isInUse && name.startsWith(this.#prefix)) yield name.slice(this.#prefix.length);
    }
  }

  async deadLetters(queue: string, after: string | undefined, max: number): Promise<readonly DeadLetterRecord[]> {
    return this.#queue(queue).dead.list(after, max);
  }

  async putBack(queue: string, id: string): Promise<boolean> {
    const letter = this.#queue(queue).dead.take(id);
    if (letter) this.#queue(queue).push('left', [letter.bytes], 0);
    return letter !== undefined;
  }

  async drop(queue: string, id: string): Promise<boolean> {
    return this.#queue(queue).dead.take(id) !== undefined;
  }

  stats(): ConnectionStats {
    return { clients: 0, waiting: 0 };
  }

  async close(): Promise<void> {}

  #queue(name: string): Queue {
    return this.#store.queue(this.#prefix + name);
  }
}
