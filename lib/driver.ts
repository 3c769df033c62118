/**
 * What a driver must do: the contract between the streams and a broker. Types only. A driver gets clean values (names, options
 * and items are checked above it), works in batches, and knows bytes, not values. `test/drivers/contract.ts` is its test suite.
 */
import type { Body } from './codec.ts';

export type { Body } from './codec.ts';

/** Which end of a queue: a queue that is filled at the left and emptied at the right is first in, first out. */
export type Side = 'left' | 'right';

/** What a broker can do. A stream that needs what it cannot is refused at its construction. */
export interface Supports {
  /** Items can be put in and taken out at either end. Without: in at the left, out at the right. */
  readonly sides: boolean;
  /** The length of a queue can be bounded where it is stored. */
  readonly maxLength: boolean;
}

/** A connection's options, all filled in. */
export interface DriverOptions {
  /** Stands before every queue's name. */
  readonly prefix: string;
  /** The most clients that may wait for items at a time; streams beyond take turns. */
  readonly maxClients: number;
}

/** Makes connections for the URLs of one scheme, or for a client object of the user's own. */
export interface Driver {
  readonly supports: Supports;
  /** Opens nothing yet: throws, or rejects, only where the target itself is wrong. */
  connect(target: string | object, options: DriverOptions): DriverConnection | Promise<DriverConnection>;
}

/** Counts of what a connection has open. */
export interface ConnectionStats {
  /** Network clients, of any kind. */
  readonly clients: number;
  /** Streams that wait for their turn at one, because `maxClients` are in use. */
  readonly waiting: number;
}

/** One broker, shared by any number of senders and receivers. While there are none it must not keep the process alive. */
export interface DriverConnection {
  /**
   * Resolves once the broker answers, however long that takes; rejects with what will not heal, and when it is closed or
   * `signal` is aborted.
   */
  ready(signal?: AbortSignal): Promise<void>;
  sender(queue: string, options: SenderOptions): Sender;
  receiver(queue: string, options: ReceiverOptions): Receiver;
  stats(): ConnectionStats;
  /** Lets go of everything at once. Called when all senders and receivers are closed, or have had their time. */
  close(): Promise<void>;
}

export interface SenderOptions {
  readonly side: Side;
  /** The length from which on a queue is full: items wait until there is room. */
  readonly maxLength?: number | undefined;
}

/** Stores items in one queue. */
export interface Sender {
  /**
   * Resolves once all are stored, in order. Waits while the broker is away or the queue is full. Rejects, with a MillraceError,
   * when the broker refuses for good or the sender is closed. A second batch may be sent while the first is on its way: they
   * are stored in the order sent.
   */
  send(batch: readonly Body[]): Promise<void>;
  /** Gives up what waits, and resolves when nothing is on its way any more. */
  close(): Promise<void>;
}

export interface ReceiverOptions {
  readonly side: Side;
  /** Called when the answer to a pop was lost: between none and `atMost` items are gone with it. */
  onUnanswered(atMost: number): void;
}

/** Takes items out of one queue, for good. */
export interface Receiver {
  /**
   * Takes 1 to `max` items, waiting until there are any; none only when cancelled. Goes on by itself when the broker was away.
   * One call at a time. Rejects, with a MillraceError, when the broker refuses for good.
   */
  receive(max: number): Promise<Buffer[]>;
  /** Makes the call under way resolve soon: with none, or with what was taken meanwhile. No item is lost by it. */
  cancel(): void;
  /** Puts items back where they came from, so that they would be received again in this order. Waits as a send does. */
  giveBack(items: readonly Buffer[]): Promise<void>;
  /** Keeps an item that nobody can read, byte for byte, beside the queue, with the reason. Waits as a send does. */
  deadLetter(item: Buffer, reason: string): Promise<void>;
  /** Gives up what waits, and resolves when nothing is on its way any more. */
  close(): Promise<void>;
}
