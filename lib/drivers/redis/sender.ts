import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Body, Sender, SenderOptions, SendingOptions } from '../../driver.ts';
import { closedError, type RedisClients, unboundedAbortController } from './clients.ts';
import type { RedisConsumer, Settlement } from './consumer.ts';
import type { QueueKeys } from './keys.ts';
import { clock } from './scripts/index.ts';

/** How often a full queue is looked at, in milliseconds: Redis cannot tell when there is room. */
const FULL_POLL = 50;

/** For how many seconds the last number of a producer is kept: of one with a name of its own, and of one that may only send again what was not answered. */
const NAMED_TTL = 24 * 60 * 60;
const ANONYMOUS_TTL = 60 * 60;

/** What a script says of a consumer that holds what it settles. */
const STOOD = 1;

/** A batch, and whom to tell. */
interface Sending {
  batch: readonly Body[];
  readonly options: SendingOptions;
  /** The number of its first item; 0 before it is sent. */
  first: number;
  resolve(stored: boolean): void;
  reject(reason: unknown): void;
}

/**
 * Stores each batch by one script, as many on their way as are sent. The items are numbered, and the script stores those that follow
 * on the last it has stored: so what is sent again, because its answer was lost or there was no room for it, is stored once and in
 * order. After a failure it waits until all on their way have come to an end, and goes on from the first that is not stored.
 */
export class RedisSender implements Sender {
  readonly #clients: RedisClients;
  readonly #keys: QueueKeys;
  readonly #command: string;
  readonly #maxLength: number;
  readonly #isNamed: boolean;
  readonly #record: string;
  readonly #closing = unboundedAbortController();
  #unsent: Sending[] = [];
  readonly #onTheirWay = new Set<Sending>();
  #failed: Sending[] = [];
  /** The highest number known to be stored, and the highest that is sent. */
  #stored = 0;
  #sent = 0;
  #failures = 0;
  #recovering: Promise<void> | undefined;
  #settled: (() => void) | undefined;

  constructor(clients: RedisClients, keys: QueueKeys, options: SenderOptions) {
    this.#clients = clients;
    this.#keys = keys;
    this.#command = options.side === 'left' ? 'LPUSH' : 'RPUSH';
    this.#maxLength = options.maxLength ?? 0;
    this.#isNamed = options.producer !== undefined;
    this.#record = keys.producer(options.producer ?? randomUUID());
    clients.retain();
  }

  send(batch: readonly Body[], options: SendingOptions = {}): Promise<boolean> {
    if (this.#closing.signal.aborted) return Promise.reject(closedError());
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
    // The numbers of a name outlive this; others are of no use any more.
    if (!this.#isNamed && this.#stored > 0) await this.#clients.client?.unlink(this.#record).catch(() => {});
    this.#clients.release();
  }

  #sendAll(): void {
    if (this.#unsent.length === 0 || this.#recovering || this.#failed.length > 0) return;
    const client = this.#clients.client;
    if (!client) {
      this.#recover(undefined);
      return;
    }
    for (const sending of this.#unsent.splice(0)) {
      if (sending.first === 0) {
        sending.first = this.#sent + 1;
        this.#sent += sending.batch.length;
      }
      void this.#transmit(client, sending);
    }
  }

  async #transmit(client: Redis, sending: Sending): Promise<void> {
    this.#onTheirWay.add(sending);
    let failure: unknown;
    try {
      await this.#store(client, sending);
      this.#failures = 0;
    } catch (error) {
      failure = error;
    }
    if (sending.batch.length > 0) this.#failed.push(sending);
    this.#onTheirWay.delete(sending);
    if (this.#onTheirWay.size > 0) return;
    if (this.#failed.length > 0) this.#recover(failure);
    this.#settled?.();
  }

  /** Stores what it can of a batch, and leaves the rest in it. */
  async #store(client: Redis, sending: Sending): Promise<void> {
    const { batch, first, options } = sending;
    const settlement = options.settles && (await settlementOf(options.settles));
    if (settlement === null) return this.#lose(sending);
    const ttl = this.#isNamed ? NAMED_TTL : ANONYMOUS_TTL;
    const keys = [this.#keys.queue, this.#record, this.#keys.marks, this.#keys.delayed] as const;
    const how = [
      clock.offset,
      this.#command,
      first,
      this.#stored,
      ttl,
      this.#maxLength,
      options.delay ?? 0,
      this.#keys.wake,
    ];
    const last = settlement
      ? await client.millraceHop(...keys, ...settlement.keys, ...how, ...settlement.args, ...batch)
      : await client.millracePush(...keys, ...how, ...batch);
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

  /** Nothing was stored, for what it was made of is not held any more: the numbers close up. */
  #lose(lost: Sending): void {
    const count = lost.batch.length;
    for (const other of [...this.#onTheirWay, ...this.#failed]) if (other.first > lost.first) other.first -= count;
    this.#sent -= count;
    lost.batch = [];
    lost.resolve(false);
  }

  /** Puts what failed before what was not sent yet, and goes on when Redis answers again; or tells all why it will not. */
  #recover(failure: unknown): void {
    this.#unsent = [...this.#failed.sort((a, b) => a.first - b.first), ...this.#unsent];
    this.#failed = [];
    const { signal } = this.#closing;
    const recovery = async (): Promise<void> => {
      try {
        if (failure !== undefined) await this.#clients.recover(failure, this.#failures++, signal);
        await this.#clients.online(signal);
        if (failure === undefined) await this.#room();
      } catch (error) {
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

/** What settles what a batch is made of; nothing where that is not held any more. */
async function settlementOf({ consumer, items }: NonNullable<SendingOptions['settles']>): Promise<Settlement | null> {
  return (await (consumer as RedisConsumer).settlement(items)) ?? null;
}
