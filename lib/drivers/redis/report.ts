import type { Outcome, Reply } from '../../driver.ts';
import type { Handed } from './handing.ts';
import type { Parcel, RedisHeld } from './parcel.ts';
import { type Deferred, deferred } from './promises.ts';

/** An item that goes back, or elsewhere. */
export interface Returned {
  readonly item: RedisHeld;
  readonly outcome: Exclude<Outcome, { verb: 'ack' }>;
}

/** A parcel, and the mask of what is acknowledged of it. */
type Acknowledged = readonly [parcel: Parcel, mask: Buffer];

/** What a consumer has to say of what it holds: it is gathered until it is sealed, and says the same from then on, however often. */
export class Report {
  /** Up to where items are handed over, if that is to be said. */
  handed: Handed | undefined;
  /** How many items are acknowledged. */
  count = 0;
  /** What is answered to those that are. */
  readonly replies: Reply[] = [];
  /** By which right it is said: that under which all of it is held. */
  incarnation = '';
  /** What has landed, and is to be made a parcel before all else is said, once it is sealed. */
  landed: Parcel | undefined;
  /** What is acknowledged, once it is sealed. */
  acknowledged: readonly Acknowledged[] = [];
  #returned: Returned[] = [];
  /** The parcels of which something is acknowledged. */
  readonly #parcels: Parcel[] = [];
  #settling: Deferred<boolean> | undefined;

  /** Whether there is nothing to say. */
  get isEmpty(): boolean {
    return !this.handed && !this.#settling;
  }

  /** Whether it sends no item back. */
  get returnsNothing(): boolean {
    return this.#returned.length === 0;
  }

  /** The parcels of which something is settled; some may be there twice. */
  get parcels(): Parcel[] {
    return [...this.#parcels, ...this.#returned.map(({ item }) => item.parcel)];
  }

  /** What goes back, or elsewhere, in the order in which it is to be said: neighbours of one parcel go together. */
  get returned(): Returned[][] {
    // What is released goes back with the last one first, so that the first is in front.
    const released = this.#returned.filter(isReleased).sort(lastFirst);
    const others = this.#returned.filter((one) => !isReleased(one));
    return [...byParcel(others), ...byParcel(released)];
  }

  /** Adds what has become of an item; resolves, when {@link resolve} is called, with whether it came to that. */
  settle(item: RedisHeld, outcome: Outcome): Promise<boolean> {
    if (outcome.verb === 'ack') {
      if (item.parcel.acknowledge(item)) this.#parcels.push(item.parcel);
      this.count += 1;
      if (outcome.reply) this.replies.push(outcome.reply);
    } else {
      item.parcel.settle(item);
      this.#returned.push({ item, outcome });
    }
    this.#settling ??= deferred();
    return this.#settling.promise;
  }

  /** Leaves it unsaid that items are released. */
  dropReleased(): void {
    this.#returned = this.#returned.filter((one) => !isReleased(one));
  }

  /**
   * Ends the gathering.
   *
   * @param landed what has landed, and is no parcel yet: it need not become one where it is acknowledged
   */
  seal(incarnation: string, landed: Parcel | undefined): void {
    this.incarnation = incarnation;
    if (landed && !this.#parcels.includes(landed)) this.landed = landed;
    this.acknowledged = this.#parcels.map((parcel) => [parcel, parcel.takeMask()]);
  }

  /** Tells those who have settled anything whether it came to that. */
  resolve(settled: boolean): void {
    this.#settling?.resolve(settled);
  }

  /** Tells them why nobody knows. */
  reject(reason: unknown): void {
    this.#settling?.reject(reason);
  }
}

function isReleased({ outcome }: Returned): boolean {
  return outcome.verb === 'release';
}

function lastFirst({ item: a }: Returned, { item: b }: Returned): number {
  return b.parcel.number - a.parcel.number || b.index - a.index;
}

/** Those of one parcel that follow each other together: the order in which they were settled stays. */
function byParcel(returned: readonly Returned[]): Returned[][] {
  const parts: Returned[][] = [];
  for (const one of returned) {
    const last = parts.at(-1);
    if (last?.[0]?.item.parcel === one.item.parcel) last.push(one);
    else parts.push([one]);
  }
  return parts;
}
