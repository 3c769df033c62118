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
  /** A channel: what comes again, or is due before all else, is told there. */
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
    this.wake = `millrace:wake:{${queue}}`;
  }

  /** A hash of what a consumer holds. */
  inProcess(consumer: string): string {
    return `${this.base}in-process:${consumer}`;
  }

  /** A list in which a pop that waited puts its item. */
  landing(incarnation: string): string {
    return `${this.base}landing:${incarnation}`;
  }

  /** The last number stored of a producer. */
  producer(id: string): string {
    return `${this.base}producer:${id}`;
  }
}
