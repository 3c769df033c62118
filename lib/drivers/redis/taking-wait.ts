import type { Redis } from 'ioredis';
import type { ConsumerCommands } from './consumer-commands.ts';
import type { Found, Holdings } from './holdings.ts';
import type { Lease } from './lease.ts';
import type { Take, Taken } from './parcel.ts';
import type { Moved } from './pool.ts';
import type { Turns } from './turns.ts';
import { Wait } from './wait.ts';

/** Waits for anything, and takes what there is, as a parcel. */
export class TakingWait extends Wait<Taken | number | null> {
  override readonly seesAll = true;
  readonly #commands: ConsumerCommands;

  constructor(queue: string, lease: Lease, turns: Turns, holdings: Holdings, commands: ConsumerCommands) {
    super(queue, lease, turns, holdings);
    this.#commands = commands;
  }

  override hold(take: Take, taken: Taken | number | null, incarnation: string): Found {
    return this.lease.stands(taken, incarnation) ? this.holdings.add(take, taken) : undefined;
  }

  protected override ask(redis: Redis, take: Take): Promise<Taken | number | null> {
    return this.#commands.take(redis, take);
  }

  protected override read(moved: Moved<Taken | number | null>): Taken | number | null {
    return takenOf(moved);
  }
}

/** What was taken behind a move. Where that is refused, the take may have found something all the same: throws only where it has not. */
export function takenOf<Found>([moved, taken]: Moved<Found>): Found {
  if (taken.status === 'fulfilled' && taken.value !== null) return taken.value;
  if (moved.status === 'rejected') throw moved.reason;
  if (taken.status === 'rejected') throw taken.reason;
  return taken.value;
}
