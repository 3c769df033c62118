import type { Redis } from 'ioredis';
import type { Found, Holdings } from './holdings.ts';
import type { Lease } from './lease.ts';
import type { Take, Taken } from './parcel.ts';
import type { BlockingClient, Moved } from './pool.ts';
import type { Turns } from './turns.ts';
import { untilAborted } from './waiting.ts';

/**
 * How a consumer waits: it has an item moved to where it lands beside what is held, and asks something right behind that, in the same
 * write. What that is, and what becomes of what has landed, makes two kinds.
 *
 * @typeParam Answer to what is asked behind the move
 */
export abstract class Wait<Answer = unknown> {
  /** Whether it sees all that there may be, what comes again among it, and whether the lease stands, also where nobody could tell. */
  abstract readonly seesAll: boolean;
  protected readonly queue: string;
  protected readonly lease: Lease;
  protected readonly turns: Turns;
  protected readonly holdings: Holdings;

  constructor(queue: string, lease: Lease, turns: Turns, holdings: Holdings) {
    this.queue = queue;
    this.lease = lease;
    this.turns = turns;
    this.holdings = holdings;
  }

  /**
   * Says it once there is room for what it lands, by a blocking client, to wait for at most `milliseconds`; gives what is known of what has
   * been found. What there is to say besides goes along.
   *
   * @param signal aborted when it is not wanted any more
   */
  async say(
    client: BlockingClient,
    milliseconds: number,
    take: Take,
    signal: AbortSignal,
  ): Promise<Taken | number | null> {
    const { queue, lease, turns } = this;
    if (turns.isWaitExpected) await new Promise(setImmediate);
    while (!turns.hasRoomToLand && !signal.aborted) await untilAborted(turns.sayNow(), signal);
    // What has not begun can't be cut short.
    if (signal.aborted) return null;
    const ask = (redis: Redis): Promise<Answer> => this.ask(redis, take);
    const goAlong = (redis: Redis): void => turns.goAlong(redis);
    return this.read(await client.moveThen(queue, lease.landing, milliseconds, ask, goAlong));
  }

  /**
   * What becomes of what {@link say} gave.
   *
   * @param incarnation that in which it was said
   */
  abstract hold(take: Take, taken: Taken | number | null, incarnation: string): Found;

  /** What is asked right behind the move. */
  protected abstract ask(redis: Redis, take: Take): Promise<Answer>;

  /** What the answers say; throws where they are refusals. */
  protected abstract read(moved: Moved<Answer>): Taken | number | null;
}
