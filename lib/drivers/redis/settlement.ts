import type { Holdings } from './holdings.ts';
import type { QueueKeys } from './keys.ts';
import type { Lease } from './lease.ts';
import type { Parcel, RedisHeld } from './parcel.ts';

/** What a script needs to settle items beside what else it does. */
export interface Settlement {
  readonly keys: readonly string[];
  readonly args: readonly (string | number | Buffer)[];
  /** Gives whether the script has settled them, going by its answer. */
  conclude(answer: number): boolean;
}

/** The settlement of items that one consumer holds; nothing where one of them is not held any more. */
export function settlementOf(
  items: readonly RedisHeld[],
  keys: QueueKeys,
  lease: Lease,
  holdings: Holdings,
): Settlement | undefined {
  if (!items.every(({ parcel }) => parcel.isHeld)) return undefined;
  const parts = byParcel(items);
  const masks = Array.from(parts, ([parcel, some]) => [parcel.number, parcel.maskOf(some)]).flat();
  const { name, incarnation, inProcess, parcels } = lease;
  return {
    keys: [keys.consumers, inProcess, keys.marks, parcels],
    args: [name, incarnation, items.length, parts.size, ...masks],
    conclude: (answer) => {
      const settled = lease.stands(answer, incarnation);
      if (settled) {
        for (const item of items) item.parcel.settle(item);
        holdings.free(parts.keys());
      }
      return settled;
    },
  };
}

function byParcel(items: readonly RedisHeld[]): Map<Parcel, RedisHeld[]> {
  const parts = new Map<Parcel, RedisHeld[]>();
  for (const item of items) {
    const part = parts.get(item.parcel);
    if (part) part.push(item);
    else parts.set(item.parcel, [item]);
  }
  return parts;
}
