import type { Bagged } from '../../bag.ts';
import type { Held } from '../../driver.ts';

/** The letter of a parcel of entries. */
const ENTRIES = 'a';

/** That of one that is made of items which came before entries that are to be had first. */
const AHEAD = 'l';

/** What a take asks for. */
export interface Take {
  /** The number of the parcel. */
  readonly number: number;
  /** How many items at most. */
  readonly max: number;
  /** How many of what comes a handler may see at once. */
  readonly atOnce: number;
}

/** What was taken: the parcel's letter and time, its items or entries, and how many are left, if that is known. */
export interface Taken {
  readonly mark: string;
  readonly bodies: readonly Buffer[];
  readonly left?: number | undefined;
}

/** An item that a consumer holds: where it is in which parcel. */
export class RedisHeld implements Held {
  readonly bytes: Buffer;
  readonly attempt: number;
  readonly parcel: Parcel;
  readonly index: number;
  owner: unknown = undefined;

  constructor(bytes: Buffer, attempt: number, parcel: Parcel, index: number) {
    this.bytes = bytes;
    this.attempt = attempt;
    this.parcel = parcel;
    this.index = index;
  }
}

/** What one take has moved: items with the number under which Redis keeps them for their consumer, until all are settled. */
export class Parcel implements Bagged {
  place = -1;
  readonly number: number;
  readonly items: RedisHeld[] = [];
  /** Whether it is one item that is to be alone with its consumer. */
  isSuspect = false;
  /** Whether it is made of items that had not been taken before. */
  readonly isPlain: boolean;
  /** Whether it was all that there was to be had. */
  readonly isAll: boolean;
  /** Bits of the items that are settled, or on their way to be, and how many bits are not set. */
  #settled: Buffer | undefined;
  #open = 0;
  /** Bits to be acknowledged with the next turn. */
  #mask: Buffer | undefined;

  constructor({ number, max }: Take, { mark, bodies, left }: Taken) {
    const letter = mark[0];
    this.number = number;
    this.isPlain = letter !== ENTRIES;
    this.isAll = left === undefined ? bodies.length < max && letter !== ENTRIES && letter !== AHEAD : left === 0;
    for (const body of bodies) {
      if (this.isPlain) this.#add(body, 1);
      else this.#addEntry(body);
    }
  }

  /** Whether its consumer holds any of it, as far as that is known. */
  get isHeld(): boolean {
    return this.place >= 0;
  }

  /** Whether all its items are settled. */
  get isOver(): boolean {
    return this.#open === 0;
  }

  /** The items that are not settled. */
  get open(): RedisHeld[] {
    const settled = this.#settled;
    return settled ? this.items.filter(({ index }) => !hasBit(settled, index)) : this.items;
  }

  /** Notes that an item is settled, or about to be. */
  settle({ index }: RedisHeld): void {
    this.#settled ??= Buffer.alloc(Math.ceil(this.items.length / 8));
    if (hasBit(this.#settled, index)) return;
    setBit(this.#settled, index);
    this.#open -= 1;
  }

  /** Notes that an item is to be acknowledged; gives whether it is the first since {@link takeMask}. */
  acknowledge(item: RedisHeld): boolean {
    this.settle(item);
    const isFirst = this.#mask === undefined;
    this.#mask ??= this.newMask();
    setBit(this.#mask, item.index);
    return isFirst;
  }

  takeMask(): Buffer {
    const mask = this.#mask ?? this.newMask();
    this.#mask = undefined;
    return mask;
  }

  /** A mask for some items. */
  maskOf(items: readonly RedisHeld[]): Buffer {
    const mask = this.newMask();
    for (const { index } of items) setBit(mask, index);
    return mask;
  }

  /** A mask of none: only what lies beyond the last item is set, so that a mask of all is all ones. */
  newMask(): Buffer {
    const count = this.items.length;
    const mask = Buffer.alloc(Math.ceil(count / 8));
    for (let index = count; index < mask.length * 8; index += 1) setBit(mask, index);
    return mask;
  }

  #addEntry(entry: Buffer): void {
    const { attempts, deaths, body } = entryOf(entry);
    if (deaths >= 2) this.isSuspect = true;
    this.#add(body, attempts + 1);
  }

  #add(body: Buffer, attempt: number): void {
    this.items.push(new RedisHeld(body, attempt, this, this.items.length));
    this.#open += 1;
  }
}

const SPACE = ' '.charCodeAt(0);

/** An item that comes again: '<attempts> <deaths> <bytes>'. */
export function entryOf(entry: Buffer): { attempts: number; deaths: number; body: Buffer } {
  const first = entry.indexOf(SPACE);
  const second = entry.indexOf(SPACE, first + 1);
  return {
    attempts: Number(entry.toString('latin1', 0, first)),
    deaths: Number(entry.toString('latin1', first + 1, second)),
    body: entry.subarray(second + 1),
  };
}

function hasBit(mask: Buffer, index: number): boolean {
  return ((mask[index >> 3] as number) & (1 << (index & 7))) !== 0;
}

function setBit(mask: Buffer, index: number): void {
  (mask[index >> 3] as number) |= 1 << (index & 7);
}
