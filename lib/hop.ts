import type { Receipt, Share } from './delivery.ts';
import type { Body, DriverConnection, Held, SendingOptions } from './driver.ts';
import { MillraceError } from './errors.ts';

/** What is to be stored for one write. */
export interface Item {
  readonly write: unknown;
  readonly body: Body;
  /** Of the delivery that was written, where it was one. */
  readonly share: Share | undefined;
}

/**
 * The deliveries of one command: those that it settles in the step that stores what was made of them, or, where another connection holds
 * them, behind it.
 */
export class Hop {
  readonly #connection: DriverConnection | undefined;
  readonly #shares: Share[] = [];
  readonly #receipts: Receipt[] = [];

  /** @param connection on which the command goes, if that can do both in one step */
  constructor(connection: DriverConnection | undefined) {
    this.#connection = connection;
  }

  add(share: Share): void {
    this.#shares.push(share);
    if (!share.isHeldBy(this.#connection)) return;
    share.close();
    if (share.receipt.open > 0) return;
    share.receipt.claim();
    this.#receipts.push(share.receipt);
  }

  /** What the command settles. */
  get settles(): NonNullable<SendingOptions['settles']> | undefined {
    const [first] = this.#receipts;
    if (!first) return undefined;
    const items: Held[] = this.#receipts.map(({ held }) => held);
    return { consumer: first.consumer, items };
  }

  /** Sees to it that what is stored is settled; or, where nothing was, that nobody believes it. */
  conclude(stored: boolean): void {
    for (const receipt of this.#receipts) {
      if (stored) receipt.settleClaim(true);
      else receipt.lose(lost(receipt.holder.queue));
    }
    if (stored) for (const share of this.#shares) if (!share.isHeldBy(this.#connection)) void share.ack();
  }

  /** The command has failed: all is as before. */
  undo(): void {
    for (const share of this.#shares) if (share.isHeldBy(this.#connection)) share.reopen();
    for (const receipt of this.#receipts) receipt.settleClaim(false);
  }
}

/** The error for a delivery that is not held any more. */
export function lost(queue: string): MillraceError {
  return new MillraceError('LEASE_LOST', `A delivery of queue "${queue}" is not held any more, or was settled before`);
}

/** How long parts wait for others before a warning says so, in milliseconds. */
const PATIENCE = 5000;

/**
 * The parts of divided deliveries that have been written, until the others are: all of one are stored by one command, together with its
 * settlement. Where others go elsewhere, or nothing more is to come, each goes alone, and the last one settles.
 */
export class Parts {
  readonly #items = new Map<Receipt, Item[]>();
  readonly #onChange: () => void;
  #hasWarned = false;

  /** @param onChange called when {@link ready} may give more than before */
  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  get size(): number {
    let size = 0;
    for (const items of this.#items.values()) size += items.length;
    return size;
  }

  add(item: Item & { readonly share: Share }): void {
    const { receipt } = item.share;
    const items = this.#items.get(receipt) ?? [];
    if (items.length === 0) {
      receipt.gather(this.#onChange);
      this.#watch(receipt);
    }
    items.push(item);
    this.#items.set(receipt, items);
  }

  /** Takes out parts that wait for no others, all of one delivery; nothing where there are none. */
  ready(isLast: boolean): readonly Item[] | undefined {
    for (const [receipt, items] of this.#items) {
      const isComplete = items.length >= receipt.open;
      if (!isComplete && !receipt.isScattered && receipt.isHeld && !isLast) continue;
      this.#items.delete(receipt);
      receipt.ungather(this.#onChange);
      return items;
    }
    return undefined;
  }

  #watch(receipt: Receipt): void {
    if (this.#hasWarned) return;
    const warn = (): void => {
      if (!this.#items.has(receipt) || this.#hasWarned) return;
      this.#hasWarned = true;
      const message =
        `Parts of a delivery of queue "${receipt.holder.queue}" wait to be stored with the others, which are not written. ` +
        'Write or settle them all before you wait for one.';
      process.emitWarning(message, { code: 'MILLRACE_PARTS' });
    };
    setTimeout(warn, PATIENCE).unref();
  }

  /** Takes all out. */
  takeAll(): Item[] {
    const all = [...this.#items.values()].flat();
    for (const receipt of this.#items.keys()) receipt.ungather(this.#onChange);
    this.#items.clear();
    return all;
  }
}
