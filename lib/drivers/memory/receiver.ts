import type { Receiver, ReceiverOptions, Side } from '../../driver.ts';
import type { Item } from './items.ts';
import type { Queue } from './queue.ts';

export class MemoryReceiver implements Receiver {
  readonly #find: () => Queue;
  readonly #side: Side;
  /** What came again, by its bytes: to be put back as what it is. */
  readonly #again = new WeakMap<Buffer, Item>();
  #cancel: (() => void) | undefined;

  /** @param find its queue as it is now */
  constructor(find: () => Queue, options: ReceiverOptions) {
    this.#find = find;
    this.#side = options.side;
  }

  receive(max: number): Promise<Buffer[]> {
    const queue = this.#find();
    return new Promise((resolve) => {
      const take = (): boolean => {
        const items = this.#take(queue, max);
        if (items.length === 0) return false;
        resolve(items);
        return true;
      };
      this.#cancel = () => {
        queue.giveUp(take);
        resolve([]);
      };
      queue.wait('takers', take);
    });
  }

  cancel(): void {
    this.#cancel?.();
  }

  async giveBack(items: readonly Buffer[]): Promise<void> {
    const again = items.flatMap((bytes) => this.#again.get(bytes) ?? []);
    this.#find().putBack(
      this.#side,
      items.filter((bytes) => !this.#again.has(bytes)),
    );
    this.#find().restore(again);
  }

  async deadLetter(bytes: Buffer, reason: string): Promise<void> {
    this.#find().bury(bytes, reason, (this.#again.get(bytes)?.attempts ?? 0) + 1);
  }

  async close(): Promise<void> {
    this.cancel();
  }

  #take(queue: Queue, max: number): Buffer[] {
    const again = queue.takeAgain(max);
    for (const item of again) this.#again.set(item.bytes, item);
    const items = again.length > 0 ? again : queue.takeNew(this.#side, max);
    return items.map(({ bytes }) => bytes);
  }
}
