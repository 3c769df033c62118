import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Body, Sender, SenderOptions } from '../../driver.ts';
import { closedError, type RedisClients, unboundedAbortController } from './clients.ts';

/** How often a full queue is looked at, in milliseconds: Redis cannot tell when there is room. */
const FULL_POLL = 50;

type Command = 'LPUSH' | 'RPUSH';

/** A batch, and whom to tell. */
interface Sending {
  readonly number: number;
  readonly batch: readonly Body[];
  resolve(): void;
  reject(reason: unknown): void;
}

/** The sender for a list: of any length, or bounded. */
export function redisSender(clients: RedisClients, key: string, options: SenderOptions): Sender {
  const command = options.side === 'left' ? 'LPUSH' : 'RPUSH';
  if (options.maxLength === undefined) return new RedisSender(clients, key, command);
  return new BoundedSender(clients, key, command, options.maxLength);
}

/**
 * Stores each batch by one variadic push, as many on their way as are sent. After a failure it waits until all on their way have
 * come to an end, and goes on from the first that failed: so batches keep their order over a broken connection, though one may be
 * stored twice. (One that a full Redis refused may find itself behind the next, which it had room for.)
 */
class RedisSender implements Sender {
  readonly #clients: RedisClients;
  readonly #key: string;
  readonly #command: Command;
  readonly #closing = unboundedAbortController();
  #unsent: Sending[] = [];
  #failed: Sending[] = [];
  #sent = 0;
  #onTheirWay = 0;
  #failures = 0;
  #recovering: Promise<void> | undefined;
  #settled: (() => void) | undefined;

  constructor(clients: RedisClients, key: string, command: Command) {
    this.#clients = clients;
    this.#key = key;
    this.#command = command;
    clients.retain();
  }

  send(batch: readonly Body[]): Promise<void> {
    if (this.#closing.signal.aborted) return Promise.reject(closedError());
    return new Promise((resolve, reject) => {
      this.#unsent.push({ number: this.#sent++, batch, resolve, reject });
      this.#sendAll();
    });
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    if (this.#onTheirWay > 0) await new Promise<void>((resolve) => (this.#settled = resolve));
    await this.#recovering;
    this.#clients.release();
  }

  #sendAll(): void {
    if (this.#unsent.length === 0 || this.#recovering || this.#failed.length > 0) return;
    const client = this.#clients.client;
    if (!client) this.#recover(undefined);
    else for (const sending of this.#unsent.splice(0)) void this.#transmit(client, sending);
  }

  async #transmit(client: Redis, sending: Sending): Promise<void> {
    this.#onTheirWay += 1;
    let failure: unknown;
    try {
      await client.call(this.#command, this.#key, ...sending.batch);
      this.#failures = 0;
      sending.resolve();
    } catch (error) {
      failure = error;
      this.#failed.push(sending);
    }
    this.#onTheirWay -= 1;
    if (this.#onTheirWay > 0) return;
    if (this.#failed.length > 0) this.#recover(failure);
    this.#settled?.();
  }

  /** Puts what failed before what was not sent yet, and goes on when Redis answers again; or tells all why it will not. */
  #recover(failure: unknown): void {
    this.#unsent = [...this.#failed.sort((a, b) => a.number - b.number), ...this.#unsent];
    this.#failed = [];
    const { signal } = this.#closing;
    const recovery = async (): Promise<void> => {
      try {
        if (failure !== undefined) await this.#clients.recover(failure, this.#failures++, signal);
        await this.#clients.online(signal);
      } catch (error) {
        for (const sending of this.#unsent.splice(0)) sending.reject(error);
      }
      this.#recovering = undefined;
      this.#sendAll();
    };
    this.#recovering = recovery();
  }
}

/**
 * Stores batches one after the other, each as far as there is room, and waits while there is none. One at a time: a second could
 * find the room that the first was refused.
 */
class BoundedSender implements Sender {
  readonly #clients: RedisClients;
  readonly #key: string;
  readonly #command: Command;
  readonly #maxLength: number;
  readonly #closing = unboundedAbortController();
  #last: Promise<void> = Promise.resolve();

  constructor(clients: RedisClients, key: string, command: Command, maxLength: number) {
    this.#clients = clients;
    this.#key = key;
    this.#command = command;
    this.#maxLength = maxLength;
    clients.retain();
  }

  send(batch: readonly Body[]): Promise<void> {
    const sending = this.#last.then(() => this.#store(batch));
    this.#last = sending.catch(() => {});
    return sending;
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    await this.#last;
    this.#clients.release();
  }

  async #store(batch: readonly Body[]): Promise<void> {
    let rest = batch;
    for (;;) {
      const some = rest;
      const stored = await this.#run((client) =>
        client.millracePush(this.#key, this.#maxLength, this.#command, ...some),
      );
      rest = rest.slice(stored);
      if (rest.length === 0) return;
      await this.#room();
    }
  }

  /** Resolves when the queue is no longer full. */
  async #room(): Promise<void> {
    const { signal } = this.#closing;
    do {
      await delay(FULL_POLL, undefined, { signal }).catch(() => {
        throw closedError();
      });
    } while ((await this.#run((client) => client.llen(this.#key))) >= this.#maxLength);
  }

  #run<Answer>(command: (client: Redis) => Promise<Answer>): Promise<Answer> {
    if (this.#closing.signal.aborted) return Promise.reject(closedError());
    return this.#clients.run(command, this.#closing.signal);
  }
}
