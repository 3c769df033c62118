import type { Redis } from 'ioredis';
import type { Parcel, Take, Taken } from './parcel.ts';
import type { Moved } from './pool.ts';
import { Wait } from './wait.ts';

/** Waits only for what lands, which is handed over as that, and asks how much there is beside it. */
export class LandingWait extends Wait<number> {
  override readonly seesAll = false;

  override hold(take: Take, landed: Taken | null, incarnation: string): Parcel | undefined {
    // What has landed for who it was before is put back with all else.
    if (!landed || !this.lease.isJoined || incarnation !== this.lease.incarnation) return undefined;
    const parcel = this.holdings.land(take, landed);
    this.turns.noteLanded();
    return parcel;
  }

  protected override ask(redis: Redis): Promise<number> {
    return redis.llen(this.queue);
  }

  protected override read([moved, left]: Moved<number>): Taken | null {
    if (moved.status === 'rejected') throw moved.reason;
    if (moved.value === null) return null;
    return { mark: 'q', bodies: [moved.value], left: left.status === 'fulfilled' ? left.value : 1 };
  }
}
