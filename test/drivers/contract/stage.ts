import assert from 'node:assert/strict';
import type {
  Consumer,
  ConsumerOptions,
  DriverConnection,
  Held,
  Outcome,
  Receiver,
  ReceiverOptions,
  Sender,
  SenderOptions,
  Supports,
} from '../../../lib/driver.ts';
import { uniqueQueue } from '../../support/brokers.ts';

/** What a driver's test file says of it. */
export interface Subject {
  readonly supports: Supports;
  /** A connection of its own to a broker that is there, with the given prefix. The suite closes it. */
  open(prefix?: string): Promise<DriverConnection>;
  /** Lets a consumer die as if its process had, with all that it has not told the broker. */
  crash?(connection: DriverConnection, consumer: string): Promise<void> | void;
}

/** A queue of its own, on a connection of its own. */
export interface Ends {
  readonly connection: DriverConnection;
  readonly queue: string;
  sender(options?: Partial<SenderOptions>): Sender;
  receiver(options?: Partial<ReceiverOptions>): Receiver;
  consumer(options?: Partial<ConsumerOptions>): Consumer;
}

/** What the tests of a driver open, and close behind each. */
export class Stage {
  readonly subject: Subject;
  readonly #connections: DriverConnection[] = [];
  readonly #consumers: Consumer[] = [];

  constructor(subject: Subject) {
    this.subject = subject;
  }

  async open(prefix?: string): Promise<DriverConnection> {
    const connection = await this.subject.open(prefix);
    this.#connections.push(connection);
    return connection;
  }

  async ends(): Promise<Ends> {
    return this.endsOf(await this.open(), uniqueQueue());
  }

  endsOf(connection: DriverConnection, queue: string): Ends {
    return {
      connection,
      queue,
      sender: (options) => connection.sender(queue, { side: 'left', ...options }),
      receiver: (options) => connection.receiver(queue, { side: 'right', onUnanswered: neverUnanswered, ...options }),
      consumer: (options) => this.consumer(connection, queue, options),
    };
  }

  consumer(connection: DriverConnection, queue: string, options?: Partial<ConsumerOptions>): Consumer {
    const consumer = connection.consumer(queue, {
      leaseTimeout: 30_000,
      maxAttempts: 5,
      onLost: neverLost,
      ...options,
    });
    this.#consumers.push(consumer);
    return consumer;
  }

  async close(): Promise<void> {
    await Promise.all(this.#consumers.splice(0).map((consumer) => consumer.close()));
    for (const connection of this.#connections.splice(0)) await connection.close();
  }
}

/** Takes `count` items, however many come at a time. */
export async function take(receiver: { receive(max: number): Promise<Buffer[]> }, count: number): Promise<string[]> {
  const items: string[] = [];
  while (items.length < count) items.push(...texts(await receiver.receive(count - items.length)));
  return items;
}

/** Holds `count` items, however many come at a time. */
export async function hold(consumer: Consumer, count: number): Promise<Held[]> {
  const held: Held[] = [];
  while (held.length < count) held.push(...(await consumer.receive(count - held.length)));
  return held;
}

/** Settles items in one turn, and sees that it came to that. */
export async function settle(consumer: Consumer, items: readonly Held[], outcome: Outcome): Promise<void> {
  const answers = await Promise.all(items.map((item) => consumer.settle(item, outcome)));
  assert.deepEqual(
    answers,
    items.map(() => true),
  );
}

/** All that is in a queue, taken out of it: up to a last item that is put behind them. */
export async function drain(connection: DriverConnection, queue: string): Promise<string[]> {
  await connection.sender(queue, { side: 'left' }).send(['the end']);
  const receiver = connection.receiver(queue, { side: 'right', onUnanswered: neverUnanswered });
  const items: string[] = [];
  while (items.at(-1) !== 'the end') items.push(...(await take(receiver, 1)));
  return items.slice(0, -1);
}

/** What a consumer gets when there is nothing for it: the call waits until it is cancelled. */
export async function getsNothing(consumer: Consumer): Promise<void> {
  const receiving = consumer.receive(10);
  await nextTurn();
  consumer.cancel();
  assert.deepEqual(textsOf(await receiving), []);
}

export const ACK: Outcome = { verb: 'ack' };
export const RELEASE: Outcome = { verb: 'release' };
export const RETRY: Outcome = { verb: 'retry', delay: 0 };
export const reject = (reason: string): Outcome => ({ verb: 'reject', reason });

export function texts(items: readonly Buffer[]): string[] {
  return items.map(String);
}

export function textsOf(held: readonly Held[]): string[] {
  return held.map(({ bytes }) => String(bytes));
}

/** Items with their attempts, as `a#1`. */
export function attemptsOf(held: readonly Held[]): string[] {
  return held.map(({ bytes, attempt }) => `${bytes}#${attempt}`);
}

export function neverUnanswered(atMost: number): void {
  assert.fail(`a pop of ${atMost} was not answered`);
}

export function neverLost(items: readonly Held[]): void {
  assert.fail(`lost ${textsOf(items)}`);
}

export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
