import type { Redis } from 'ioredis';
import type { BrokerKind } from './brokers.ts';
import type { Case, Job } from './case.ts';

/** Something else that moves jobs: used as its documentation recommends for throughput, as the names of its cases say. */
export interface Rival {
  readonly broker: BrokerKind;
  /** How many jobs it moves where others move one: what is compared is how many move in a second. */
  readonly share: number;
  /** Moves jobs from one process to another, both at work at the same time; absent where it has no way to wait for them. */
  readonly flow?: Flow & { readonly name: string };
  /** Removes a queue and what is in it, or does nothing where there is none; absent where that is in Redis. */
  clear?(url: string, queue: string): Promise<unknown>;
}

/** What each of two processes does. */
export interface Flow {
  readonly push: Case;
  readonly drain: Case;
}

/** One that stores jobs. */
export interface Peer extends Rival {
  /** Fills a queue. */
  readonly push: { readonly name: string; readonly run: Case };
  /** Works through what {@link push} has stored. */
  readonly drain: { readonly name: string; readonly run: Case };
  /** How many jobs wait in a queue; `url` is that of its broker. */
  waiting(redis: Redis, queue: string, url: string): Promise<number>;
  /** Opens what sends and handles jobs one at a time, the fastest way that it has to be told of one. */
  readonly line: {
    readonly name: string;
    open(url: string, queue: string, arrived: (id: number) => void): Promise<PeerLine>;
  };
}

/** A producer, and a consumer that has called back for each job that came. */
export interface PeerLine {
  send(value: Job): Promise<unknown>;
  close(): Promise<unknown>;
}

/** How many jobs one call stores where a peer can store many: two such calls are on their way at a time. */
export const BATCH = 256;

/** How many calls are on their way at a time where each stores one. */
export const IN_FLIGHT = 2 * BATCH;

/** Has `send` store jobs in so many lanes at a time, `size` a call; it is told the number of the first, and how many. */
export async function sendInLanes(
  count: number,
  lanes: number,
  size: number,
  send: (first: number, size: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) {
      const first = next;
      next = Math.min(count, first + size);
      await send(first, next - first);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

/** Where a server is, for those who take no URL. */
export function placeOf(url: string): { host: string; port: number } {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port) };
}
