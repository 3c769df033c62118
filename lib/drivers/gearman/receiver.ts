import type { Held, Receiver, ReceiverOptions } from '../../driver.ts';
import type { GearmanConsumer } from './consumer.ts';
import type { GearmanSender } from './sender.ts';

/**
 * Takes jobs and completes them at once. A job is given only when the server has heard that: so none is given twice. What is given back is
 * submitted anew, before all others.
 */
export class GearmanReceiver implements Receiver {
  readonly #consumer: GearmanConsumer;
  readonly #openSender: () => GearmanSender;
  readonly #options: ReceiverOptions;
  #sender: GearmanSender | undefined;
  #isCancelled = false;

  /** @param openSender opens one whose jobs go before all others */
  constructor(consumer: GearmanConsumer, openSender: () => GearmanSender, options: ReceiverOptions) {
    this.#consumer = consumer;
    this.#openSender = openSender;
    this.#options = options;
  }

  async receive(max: number): Promise<Buffer[]> {
    let items: Buffer[] = [];
    this.#isCancelled = false;
    while (items.length === 0 && !this.#isCancelled) {
      const held = await this.#consumer.receive(max);
      if (held.length === 0) break;
      items = await this.#complete(held);
    }
    return items;
  }

  cancel(): void {
    this.#isCancelled = true;
    this.#consumer.cancel();
  }

  async giveBack(items: readonly Buffer[]): Promise<void> {
    this.#sender ??= this.#openSender();
    await this.#sender.send(items);
  }

  /** There is no place for it: who pulls is told of it, and nobody else. */
  async deadLetter(): Promise<void> {}

  async close(): Promise<void> {
    await Promise.all([this.#consumer.close(), this.#sender?.close()]);
  }

  /** Those of the items that are known to be gone from the server. */
  async #complete(held: readonly Held[]): Promise<Buffer[]> {
    const heard = await Promise.all(held.map((item) => this.#consumer.settle(item, { verb: 'ack' })));
    const unheard = heard.filter((yes) => !yes).length;
    if (unheard > 0) this.#options.onUnanswered(unheard);
    return held.flatMap(({ bytes }, index) => (heard[index] ? [bytes] : []));
  }
}
