import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Body, Sender, SenderOptions, SendingOptions } from '../../driver.ts';
import { closedError, type RedisClients, unboundedAbortController } from './clients.ts';
import type { RedisConsumer } from './consumer.ts';
import type { QueueKeys } from './keys.ts';
import { SenderCommands } from './sender-commands.ts';
import type { Settlement } from './settlement.ts';

/** How often a full queue is looked at, in milliseconds: Redis cannot tell when there is room. */
const FULL_POLL = 50;

/** What a script says of a consumer that holds what it settles. */
const STOOD = 1;

/** A batch, and whom to tell. */
interface Sending {
  batch: readonly Body[];
  readonly options: SendingOptions;
  /** What it settles, since it was sent first: it may have been carried out, so it is sent with the same until it is answered. */
  settlement?: Settlement | undefined;
  /** The number of its first item; 0 before it is sent. */
  first: number;
  resolve(stored: boolean): void;
  reject(reason: unknown): void;
}

/**
 * Stores each batch in one step, as many on their way as are sent. The items are numbered, and the server stores those that follow
 * on the last it has stored: so what is sent again, because its answer was lost or there was no room for it, is stored once and in
 * order. After a failure it waits until all on their way have come to an end, and goes on from the first that is not stored.
 */
export class RedisSender implements Sender {
  readonly #clients: RedisClients;
  readonly #keys: QueueKeys;
  readonly #commands: SenderCommands;
  readonly #maxLength: number;
  readonly #closing = unboundedAbortController();
  #unsent: Sending[] = [];
  readonly #onTheirWay = new Set<Sending>();
  #failed: Sending[] = [];
  /** The highest number known to be stored, and the highest that is sent. */
  #stored = 0;
  #sent = 0;
  /** The least number that was given to what will never be stored. */
  #gap = Number.POSITIVE_INFINITY;
  /** Whether anything may have been sent twice. */
  #hasFailed = false;
  #refused: unknown;
  #failures = 0;
  /** Why the first of those on their way failed: the others may only have found a gap. */
  #failure: unknown;
  #recovering: Promise<void> | undefined;
  #settled: (() => void) | undefined;

  constructor(clients: RedisClients, keys: QueueKeys, options: SenderOptions) {
    this.#clients = clients;
    this.#keys = keys;
    this.#commands = new SenderCommands(keys, options);
    this.#maxLength = options.maxLength ?? 0;
    clients.retain();
  }

  send(batch: readonly Body[], options: SendingOptions = {}): Promise<boolean> {
    if (this.#closing.signal.aborted) return Promise.reject(closedError());
    if (this.#refused) return Promise.reject(this.#refused);
    return new Promise((resolve, reject) => {
      this.#unsent.push({ batch, options, first: 0, resolve, reject });
      this.#sendAll();
    });
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    if (this.#onTheirWay.size > 0) await new Promise<void>((resolve) => (this.#settled = resolve));
    await this.#recovering;
    if (this.#stored > 0) this.#commands.forget(this.#clients.client, this.#hasFailed);
    this.#clients.release();
  }

  #sendAll(): void {
    if (this.#recovering || this.#failed.length > 0) return;
    // Behind a gap nothing is stored: first what comes before it, then all else by new numbers.
    const isOpen = ({ first }: Sending): boolean =>
      this.#gap === Number.POSITIVE_INFINITY || (first > 0 && first < this.#gap);
    const ready = this.#unsent.filter(isOpen);
    if (ready.length === 0) return;
    const client = this.#clients.client;
    if (!client) {
      this.#recover(undefined);
      return;
    }
    this.#unsent = this.#unsent.filter((sending) => !isOpen(sending));
    for (const sending of ready) {
      if (sending.first === 0) {
        sending.first = this.#sent + 1;
        this.#sent += sending.batch.length;
      }
      void this.#transmit(client, sending);
    }
  }

  async #transmit(client: Redis, sending: Sending): Promise<void> {
    this.#onTheirWay.add(sending);
    try {
      await this.#store(client, sending);
      this.#failures = 0;
    } catch (error) {
      this.#failure ??= error;
    }
    if (sending.batch.length > 0) this.#failed.push(sending);
    this.#onTheirWay.delete(sending);
    if (this.#onTheirWay.size > 0) return;
    this.#failed.sort((a, b) => a.first - b.first);
    if (this.#failed.every(({ first }) => first > this.#gap)) this.#renumber();
    const failure = this.#failure;
    this.#failure = undefined;
    if (this.#failed.length > 0) this.#recover(failure);
    else this.#sendAll();
    this.#settled?.();
  }

  /** Stores what it can of a batch, and leaves the rest in it. */
  async #store(client: Redis, sending: Sending): Promise<void> {
    const { batch, first } = sending;
    const { settles } = sending.options;
    sending.settlement ??= settles && (settles.consumer as RedisConsumer).settlement(settles.items);
    const { settlement } = sending;
    if (settles && !settlement) return this.#lose(sending);
    const last = await this.#say(client, sending);
    if (last < 0) {
      settlement?.conclude(last);
      return this.#lose(sending);
    }
    this.#stored = Math.max(this.#stored, last);
    const count = Math.min(batch.length, Math.max(0, last - first + 1));
    sending.batch = batch.slice(count);
    sending.first += count;
    if (count < batch.length) return;
    settlement?.conclude(STOOD);
    sending.resolve(true);
  }

  /** Sends a batch; gives the last number that is stored then, or what a script says of a consumer that does not hold what it settles. */
  #say(client: Redis, { batch, first, options, settlement }: Sending): Promise<number> {
    const numbered = { items: batch, first, stored: this.#stored, delay: options.delay ?? 0 };
    return settlement
      ? this.#commands.hop(client, numbered, settlement)
      : this.#commands.push(client, numbered, this.#clients.mayTransact);
  }

  /** Nothing was stored, for what it was made of is not held any more: there is a gap in the numbers. */
  #lose(lost: Sending): void {
    this.#gap = Math.min(this.#gap, lost.first);
    lost.batch = [];
    lost.resolve(false);
  }

  /** Closes a gap: what is behind it is numbered anew for another record, so that no command of the old numbers can be carried out late. */
  #renumber(): void {
    if (this.#gap === Number.POSITIVE_INFINITY) return;
    this.#gap = Number.POSITIVE_INFINITY;
    this.#commands.renew(this.#clients.client, this.#hasFailed);
    this.#stored = 0;
    this.#sent = 0;
    for (const sending of [...this.#failed, ...this.#unsent]) sending.first = 0;
  }

  /** Puts what failed before what was not sent yet, and goes on when Redis answers again; or tells all why it will not. */
  #recover(failure: unknown): void {
    this.#unsent = [...this.#failed, ...this.#unsent];
    this.#failed = [];
    const { signal } = this.#closing;
    const recovery = async (): Promise<void> => {
      try {
        if (failure !== undefined) this.#hasFailed = true;
        if (failure !== undefined) await this.#clients.recover(failure, this.#failures++, signal);
        await this.#clients.online(signal);
        if (failure === undefined) await this.#room();
      } catch (error) {
        this.#refused = error;
        for (const sending of this.#unsent.splice(0)) sending.reject(error);
      }
      this.#recovering = undefined;
      this.#sendAll();
    };
    this.#recovering = recovery();
  }

  /** Resolves when the queue is not full. */
  async #room(): Promise<void> {
    const { signal } = this.#closing;
    if (this.#maxLength === 0) return;
    do {
      await delay(FULL_POLL, undefined, { signal }).catch(() => {
        throw closedError();
      });
    } while ((await this.#length()) >= this.#maxLength);
  }

  #length(): Promise<number> {
    return this.#clients.run((client) => client.llen(this.#keys.queue), this.#closing.signal);
  }
}
