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
  /** Items can be held under a lease and settled: {@link DriverConnection.consumer}. */
  readonly deliveries: boolean;
  /** Items can be stored now and be due later. */
  readonly delay: boolean;
  /** A producer's numbers outlive its process, so that the same source can be run again. */
  readonly producers: boolean;
  /** Storing items and settling what they were made of is one step: {@link SendingOptions.settles}. */
  readonly hops: boolean;
  /** It can tell what is in its queues, and show their dead letters. */
  readonly inspection: boolean;
  /** Requests can be answered, and cancelled: {@link DriverConnection.inbox}. */
  readonly requests: boolean;
  /** It can tell, by {@link DriverConnection.inspect}, whether a queue has consumers. */
  readonly presence: boolean;
  /** Consumers have names, under which others can take over from them: {@link ConsumerOptions.name}. */
  readonly names: boolean;
  /**
   * What is retried or released, or was held by who has died, comes again before all others, in order, to whoever asks first, and with its
   * attempts counted. Without: it comes again, to the same consumer while that lives, or as if it were new.
   */
  readonly attempts: boolean;
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

/** What one request is answered with. */
export interface Reply {
  /** Where it is published, as the request says. */
  readonly channel: string;
  /** The reply in JSON: an object. A channel that begins as {@link Inbox.channel} may get several in one message, as an array. */
  readonly text: string;
}

/** Where replies come in. A connection that breaks loses none of those that settle what a consumer held. */
export interface Inbox {
  /** The channel that requests name. Nobody can guess it. */
  readonly channel: string;
  /** Says that requests are sent to a queue, until the function that it gives is called. */
  watch(queue: string): () => void;
  /** Takes no more replies. */
  close(): void;
}

/** A request that nobody wants answered any more. */
export interface CancelledRequest extends RequestName {
  /** As it was sent. */
  readonly body: Body;
  /** Until when it may have to be known, in milliseconds since 1970 by the broker's clock. */
  readonly until: number;
}

/** A request, among those of all requesters. */
export interface RequestName {
  readonly channel: string;
  readonly id: string;
}

/** Who watches for cancelled requests. */
export interface Cancellations {
  /** Resolves when it knows of all that were cancelled before. */
  readonly ready: Promise<void>;
  has(request: RequestName): boolean;
  close(): void;
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
  consumer(queue: string, options: ConsumerOptions): Consumer;
  /** Milliseconds since 1970 by the broker's clock, as far as it is known: what deadlines are told in. */
  now(): number;
  /**
   * Where the replies to this connection's requests come in. There is one at a time.
   *
   * @param onReplies called with the text of each message, once, in the order in which one worker has sent them: JSON of one reply, or
   *   of an array of them. What comes from elsewhere may be anything.
   * @param onLost called with the ids of requests that will not be answered, because a connection broke that their broker needs for it
   */
  inbox(onReplies: (message: string) => void, onLost?: (ids: readonly string[]) => void): Inbox;
  /**
   * Replies, where that settles nothing held: {@link Outcome} has the other way. Resolves when the broker has them, which it may have
   * twice where a connection broke; rejects when the broker refuses for good.
   *
   * @param queue of the requests: none of the replies is lost, if their inboxes {@link Inbox.watch watch} it. Without, a requester that
   *   is cut off at that moment may never get them.
   */
  reply(replies: readonly Reply[], queue?: string): Promise<void>;
  /**
   * Takes a request out of its queue. If it is not there, because somebody holds it, or it has not come yet, all who watch for
   * {@link cancellations} of the queue are told, until its time is over those who begin later, too. Resolves when the broker knows it.
   */
  cancel(queue: string, request: CancelledRequest): Promise<void>;
  /**
   * Watches for requests of a queue that are cancelled while they are handled, or before they come.
   *
   * @param onCancelled called with the channel and the id of each, a space between
   */
  cancellations(queue: string, onCancelled: (request: string) => void): Cancellations;
  /** What is in a queue. */
  inspect(queue: string): Promise<QueueInfo>;
  /** The names, without the prefix, of the queues that hold anything or have consumers. */
  queues(): AsyncIterable<string>;
  /** The oldest `max` dead letters of a queue behind the one with the id `after`, or from the first on. */
  deadLetters(queue: string, after: string | undefined, max: number): Promise<readonly DeadLetterRecord[]>;
  /** Takes a dead letter back into the queue, behind all others, as if it were new. False where it is gone. */
  putBack(queue: string, id: string): Promise<boolean>;
  /** Deletes a dead letter. False where it is gone. */
  drop(queue: string, id: string): Promise<boolean>;
  stats(): ConnectionStats;
  /** Lets go of everything at once. Called when all senders and receivers are closed, or have had their time. */
  close(): Promise<void>;
}

export interface SenderOptions {
  readonly side: Side;
  /** The length from which on a queue is full: items wait until there is room. */
  readonly maxLength?: number | undefined;
  /**
   * A name under which the items of this sender are numbered for a day: a sender of the same name that sends the same items
   * again, from the first on, stores only those that are not stored yet. Default: a random one.
   */
  readonly producer?: string | undefined;
  /** Whether all that is sent is requests: the packets of `packet.ts`, in JSON, to be asked in the way of the broker. */
  readonly requests?: boolean | undefined;
}

/** How a batch is stored. */
export interface SendingOptions {
  /** Milliseconds from now at which the items are due; 0 or none: at once. */
  readonly delay?: number;
  /** What a consumer of the same connection holds, and what is settled in the step that stores the batch. */
  readonly settles?: { readonly consumer: Consumer; readonly items: readonly Held[] };
}

/** Stores items in one queue, each once, however often the connection breaks. */
export interface Sender {
  /**
   * Resolves once all are stored, in order: with true; with false, and nothing stored, where what it `settles` is not held any
   * more. Waits while the broker is away or the queue is full. Rejects, with a MillraceError, when the broker refuses for good
   * or the sender is closed. A second batch may be sent while the first is on its way: they are stored in the order sent.
   */
  send(batch: readonly Body[], options?: SendingOptions): Promise<boolean>;
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

export interface ConsumerOptions {
  /** Who starts under the name of another takes over from it: what that one holds is put back, and it is fenced off. Default: a random name. */
  readonly name?: string | undefined;
  /** Milliseconds without a sign of life after which others put back what this consumer holds. */
  readonly leaseTimeout: number;
  /** After how many attempts an item whose consumer has died in the middle of them is a dead letter. */
  readonly maxAttempts: number;
  /** The methods of requests that it takes, where the broker has those of each in a queue of their own; elsewhere it takes all. */
  readonly methods?: readonly string[] | undefined;
  /** Called when items are not held any more though nobody here has settled them: the lease had ended. */
  onLost(items: readonly Held[]): void;
}

/** An item that a consumer holds: its receipt. */
export interface Held {
  readonly bytes: Buffer;
  /** Which attempt this is, from 1. */
  readonly attempt: number;
  /** What makes it a request, where the broker says so and not the item: that is what is asked with, and may be nothing at all. */
  readonly request?: HeldRequest;
  /** For the stream, to find its own again; a driver leaves it alone. */
  owner?: unknown;
}

/** A request whose parameters are an item. */
export interface HeldRequest extends RequestName {
  readonly method: string;
  /** How many parts of a reply it takes before it says that it takes more. Without, it is for one reply. */
  readonly parts?: number;
}

/** What becomes of an item that was held. */
export type Outcome =
  /** Done. A `reply` is published in the same step, and not at all where the item is not held any more. */
  | { readonly verb: 'ack'; readonly reply?: Reply }
  /** Again, as one attempt more, after `delay` milliseconds, then before those that were never tried. */
  | { readonly verb: 'retry'; readonly delay: number }
  /** To the dead letters. */
  | { readonly verb: 'reject'; readonly reason: string }
  /** Again, before all others, as if it had not been taken. */
  | { readonly verb: 'release' };

/** Takes items out of one queue and holds them until they are settled. Nothing that it takes is ever lost. */
export interface Consumer {
  /** The connection that made it. */
  readonly connection: DriverConnection;
  /**
   * Takes 1 to `max` items, waiting until there are any; none only when cancelled. Items that come again come first. Goes on by
   * itself when the broker was away. One call at a time. Rejects, with a MillraceError, when the broker refuses for good; with
   * `ERR_MILLRACE_FENCED` when another consumer has started under this one's name.
   *
   * @param atOnce whether a handler waits for the first of them: a driver may count that as handed over when it is taken
   */
  receive(max: number, atOnce?: boolean): Promise<readonly Held[]>;
  /** Makes the call under way resolve soon: with none, or with what was taken meanwhile. */
  cancel(): void;
  /**
   * Says that an item is about to be handed to a handler: if the process dies from here on, that counts as an attempt. A driver may
   * count what came before it as handed over, too.
   */
  handOver(item: Held): void;
  /**
   * Resolves, as soon as the broker has answered, with whether it came to that: false when the item is not held any more. Settlements of one turn of the
   * event loop go together. Each item is settled once at most: its caller sees to that. Rejects, with a MillraceError, when
   * the broker refuses for good or the consumer is closed before it was heard.
   */
  settle(item: Held, outcome: Outcome): Promise<boolean>;
  /**
   * Says what was settled, puts what it still holds back, before all others, as if it had not been taken, and resolves when nothing
   * is on its way any more. When `giveUp` is aborted it is content with what it has done: the rest goes back when the lease ends.
   */
  close(giveUp?: AbortSignal): Promise<void>;
}

/** What is in a queue. */
export interface QueueInfo {
  /** Items that can be had now. */
  readonly waiting: number;
  /** Items that are due later. */
  readonly delayed: number;
  /** Items that consumers hold. */
  readonly inProcess: number;
  /** Dead letters. */
  readonly dead: number;
  /** How many items have been pushed, as far as millrace did it, and settled, since the queue was last out of use for a day. */
  readonly pushed: number;
  readonly settled: number;
  /** Milliseconds for which the oldest waiting item has been waiting, to about a second; 0 when none is. */
  readonly lag: number;
  readonly consumers: readonly ConsumerInfo[];
}

/** What a consumer does. */
export interface ConsumerInfo {
  readonly name: string;
  /** How many items it holds. */
  readonly held: number;
  /** When its lease ends if it is not renewed, in milliseconds since 1970 by the broker's clock. */
  readonly leaseEnds: number;
  /** Milliseconds for which it has held the oldest of them; 0 when it holds none. */
  readonly oldest: number;
}

/** A dead letter, as it is stored. */
export interface DeadLetterRecord {
  readonly id: string;
  readonly bytes: Buffer;
  readonly reason: string;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly attempts: number;
}
