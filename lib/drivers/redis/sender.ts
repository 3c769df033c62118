import { setTimeout as delay } from 'node:timers/promises';
import type { Body, Sender, SenderOptions } from '../../driver.ts';
import { closedError, type RedisConnection, unboundedAbortController } from './connection.ts';

/** How often a full queue is looked at, in milliseconds: Redis cannot tell when there is room. */
const FULL_POLL = 50;

/** Stores items in a list: one variadic LPUSH a batch, or a script where the length is bounded. */
export class RedisSender implements Sender {
  readonly #connection: RedisConnection;
  readonly #key: string;
  readonly #command: 'LPUSH' | 'RPUSH';
  readonly #maxLength: number | undefined;
  readonly #closing = unboundedAbortController();
  readonly #onTheirWay = new Set<Promise<void>>();
  #recovery: Promise<void> | undefined;
  #last: Promise<void> = Promise.resolve();

  constructor(connection: RedisConnection, key: string, options: SenderOptions) {
    this.#connection = connection;
    this.#key = key;
    this.#command = options.side === 'left' ? 'LPUSH' : 'RPUSH';
    this.#maxLength = options.maxLength;
    connection.retain();
  }

  async send(batch: readonly Body[]): Promise<void> {
    const sending = this.#maxLength === undefined ? this.#push(batch) : this.#pushInTurn(batch, this.#maxLength);
    this.#onTheirWay.add(sending);
    try {
      await sending;
    } finally {
      this.#onTheirWay.delete(sending);
    }
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    await Promise.allSettled(this.#onTheirWay);
    this.#connection.release();
  }

  /** After a failure all wait for one recovery, and then go on in the order in which they were sent. */
  async #push(items: readonly Body[]): Promise<void> {
    const { signal } = this.#closing;
    for (let failures = 0; ; failures += 1) {
      const recovery = this.#recovery;
      await recovery;
      if (this.#recovery === recovery) this.#recovery = undefined;
      try {
        const client = await this.#connection.online(signal);
        await client.call(this.#command, this.#key, ...items);
        return;
      } catch (error) {
        this.#recovery ??= this.#connection.recover(error, failures, signal);
      }
    }
  }

  /** One batch at a time: a second could find the room that the first was refused. */
  #pushInTurn(items: readonly Body[], maxLength: number): Promise<void> {
    const turn = this.#last.then(() => this.#pushAsRoomComes(items, maxLength));
    this.#last = turn.catch(() => {});
    return turn;
  }

  async #pushAsRoomComes(items: readonly Body[], maxLength: number): Promise<void> {
    const { signal } = this.#closing;
    let rest = items;
    for (;;) {
      const some = rest;
      const stored = await this.#connection.run(
        (client) => client.millracePush(this.#key, maxLength, this.#command, ...some),
        signal,
      );
      rest = rest.slice(stored);
      if (rest.length === 0) return;
      do {
        await delay(FULL_POLL, undefined, { signal }).catch(() => {
          throw closedError();
        });
      } while ((await this.#connection.run((client) => client.llen(this.#key), signal)) >= maxLength);
    }
  }
}
