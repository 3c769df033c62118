import { Bag } from '../../bag.ts';
import { type Handed, Handing } from './handing.ts';
import { Parcel, type RedisHeld, type Take, type Taken } from './parcel.ts';

/** What a take has found: a parcel; something that is to be delivered alone, when nothing else is held; or nothing. */
export type Found = Parcel | 'suspect' | undefined;

/** What a consumer holds, as far as it is known here, and how much of that handlers may have seen, as far as the server knows. */
export class Holdings {
  readonly #parcels = new Bag<Parcel>();
  readonly #handing: Handing;
  readonly #onFreed: () => void;
  /** The number of the last parcel: who asks goes by the next one until a parcel has it, so that none is left where nobody looks. */
  #number = 0;
  /** What a wait has brought, of which the server knows only where it has landed: there must be one at most. */
  #landed: Parcel | undefined;
  /** Whether the server takes what lands for something that a handler may have seen. */
  #isLandingSeen = false;
  /** The least that was said with the next number of how many of its items are handed over at once. */
  #atOnce = Number.POSITIVE_INFINITY;

  /**
   * @param maxAttempts after how many attempts an item whose consumer has died in the middle of them is a dead letter
   * @param onFreed called when something that was held is settled
   */
  constructor(maxAttempts: number, onFreed: () => void) {
    this.#handing = new Handing(maxAttempts);
    this.#onFreed = onFreed;
  }

  /** Whether something is held that is to be alone with its consumer. */
  get hasSuspect(): boolean {
    for (const { isSuspect } of this.#parcels) if (isSuspect) return true;
    return false;
  }

  /** What is held, but lies where a wait has put it, until the server is told that it is a parcel, or that it is settled. */
  get landed(): Parcel | undefined {
    return this.#landed;
  }

  /**
   * What the next take of at most `max` items asks for.
   *
   * @param isAwaited whether a handler waits for the first of them
   */
  nextTake(max: number, isAwaited: boolean): Take {
    // One that is said again must not say more: the first may have been carried out.
    this.#atOnce = Math.min(this.#atOnce, this.#handing.atOnce(max, isAwaited));
    return { number: this.#number + 1, max, atOnce: this.#atOnce };
  }

  /**
   * Whether what is waited for may be handed over as soon as it has landed, before it is a parcel: not where something came before it
   * of which a parcel would say that it is handed over, too.
   */
  mayLand({ atOnce }: Take): boolean {
    return atOnce > 0 && this.#isLandingSeen && this.#handing.hasSaidAll;
  }

  /** Adds what a wait has brought, which is no parcel yet. */
  land(take: Take, taken: Taken): Parcel {
    this.#landed = this.#hold(take, taken);
    return this.#landed;
  }

  /** Notes that the server knows of a parcel that had landed, or that nobody will tell it. */
  record(parcel: Parcel): void {
    if (this.#landed === parcel) this.#landed = undefined;
  }

  /** Adds what a take has brought, as its script has answered, and gives it. */
  add(take: Take, answer: Taken | number | null): Found {
    if (answer === null) return undefined;
    if (typeof answer === 'number') return 'suspect';
    const parcel = this.#hold(take, answer);
    if (take.atOnce > 0 && parcel.isPlain) this.#isLandingSeen = true;
    return parcel.isHeld ? parcel : undefined;
  }

  /** What is to be said before an item is handed over; nothing if that has been said already. */
  handOver(item: RedisHeld): Handed | undefined {
    return this.#handing.next(item);
  }

  /** Something of each of these parcels is settled: lets go of those that are over. */
  free(parcels: Iterable<Parcel>): void {
    for (const parcel of parcels) {
      if (!parcel.isOver) continue;
      this.#parcels.delete(parcel);
      this.record(parcel);
    }
    this.#onFreed();
  }

  /** Lets go of everything; gives the items that were not settled, in the order in which they were taken. */
  empty(): RedisHeld[] {
    this.#landed = undefined;
    this.#isLandingSeen = false;
    const parcels = this.#parcels.empty().sort((a, b) => a.number - b.number);
    return parcels.flatMap((parcel) => parcel.open);
  }

  #hold(take: Take, taken: Taken): Parcel {
    const parcel = new Parcel(take, taken);
    this.#number = parcel.number;
    this.#atOnce = Number.POSITIVE_INFINITY;
    this.#handing.said(parcel, take.atOnce);
    if (!parcel.isOver) this.#parcels.add(parcel);
    return parcel;
  }
}
