import { REPLIES } from '../../packet.ts';

/** The names of what a queue has in Redis. All but the list itself are in braces, and so in the list's own slot of a cluster. */
export class QueueKeys {
  /** The list of items. */
  readonly queue: string;
  /** What all other names begin with. */
  readonly base: string;
  /** A list of entries that come again, before the items of the queue. */
  readonly again: string;
  /** A sorted set of entries that are due later, by their time. */
  readonly delayed: string;
  /** A stream of dead letters. */
  readonly dead: string;
  /** A hash of consumers, each with its lease. */
  readonly consumers: string;
  /** A hash of totals, and of when they were what. */
  readonly marks: string;
  /** A sorted set of cancelled requests, by how long they may have to be known. */
  readonly cancelled: string;
  /** A channel: what comes again, is due before all else, or is cancelled is told there. */
  readonly wake: string;

  /** @param queue the name, with its prefix */
  constructor(queue: string) {
    this.queue = queue;
    this.base = `{${queue}}:`;
    this.again = `${this.base}again`;
    this.delayed = `${this.base}delayed`;
    this.dead = `${this.base}dead`;
    this.consumers = `${this.base}consumers`;
    this.marks = `${this.base}marks`;
    this.cancelled = `${this.base}cancelled`;
    this.wake = `millrace:wake:{${queue}}`;
  }

  /** A hash that says which parcels a consumer holds, and what of them is settled. */
  inProcess(consumer: string): string {
    return `${this.base}in-process:${consumer}`;
  }

  /** A list in which a pop that waits puts its item, before that is a parcel. */
  landing(incarnation: string): string {
    return `${this.parcels(incarnation)}0`;
  }

  /** What the names of the lists begin with that are the parcels of a consumer; a number follows. */
  parcels(incarnation: string): string {
    return `${this.base}parcel:${incarnation}:`;
  }

  /** A stream of replies to who listens to a channel; nothing where that is none of ours. */
  mailbox(channel: string): string | undefined {
    return channel.startsWith(REPLIES) ? `${this.base}replies:${channel.slice(REPLIES.length)}` : undefined;
  }

  /** The last number stored of a producer. */
  producer(id: string): string {
    return `${this.base}producer:${id}`;
  }
}
