import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Receiver, ReceiverOptions, Side } from '../../driver.ts';
import { type RedisClients, unboundedAbortController } from './clients.ts';
import type { BlockingClient } from './pool.ts';
import { isAnswer } from './refusals.ts';

/** How many dead letters a queue keeps: the newest. */
const DEAD_LETTERS = 10_000;

/** The most items one script is given: Lua's stack is bounded at about 8,000. */
const SCRIPT_ITEMS = 1000;

/** How long the record of a giving back is kept, in seconds: longer than it can be tried again. */
const RECORD_TTL = 60;

/**
 * Takes items out of a list. While there are plenty it asks with the client for commands; only to wait for items does it
 * borrow a client that may block.
 */
export class RedisReceiver implements Receiver {
  readonly #clients: RedisClients;
  readonly #key: string;
  readonly #side: Side;
  readonly #onUnanswered: (atMost: number) => void;
  readonly #closing = unboundedAbortController();
  /** Aborted to end the call under way, where it waits. */
  #turn = unboundedAbortController();
  #cancelled = false;
  /** Whether a pop that does not block is on its way: it is over in a moment, and cannot be stopped. */
  #popping = false;
  #receiving: Promise<unknown> = Promise.resolve();
  /** Whether the last answer was as large as it could be, so that there is probably more. */
  #plenty = false;

  constructor(clients: RedisClients, key: string, options: ReceiverOptions) {
    this.#clients = clients;
    this.#key = key;
    this.#side = options.side;
    this.#onUnanswered = options.onUnanswered;
    clients.retain();
  }

  receive(max: number): Promise<Buffer[]> {
    if (this.#turn.signal.aborted) this.#turn = unboundedAbortController();
    this.#cancelled = false;
    const receiving = this.#receive(max, this.#turn.signal);
    this.#receiving = receiving.catch(() => {});
    return receiving;
  }

  cancel(): void {
    this.#cancelled = true;
    if (!this.#popping) this.#turn.abort();
  }

  async giveBack(items: readonly Buffer[]): Promise<void> {
    const command = this.#side === 'right' ? 'RPUSH' : 'LPUSH';
    for (let end = items.length; end > 0; end -= SCRIPT_ITEMS) {
      const some = items.slice(Math.max(0, end - SCRIPT_ITEMS), end).reverse();
      const record = `{${this.#key}}:producer:${randomUUID()}`;
      await this.#run((client) => client.millraceGiveBack(this.#key, record, command, RECORD_TTL, ...some));
    }
  }

  async deadLetter(item: Buffer, reason: string): Promise<void> {
    const dead = `{${this.#key}}:dead`;
    const fields = ['item', item, 'reason', reason, 'attempts', 1] as const;
    await this.#run((client) => client.xadd(dead, 'MAXLEN', DEAD_LETTERS, '*', ...fields));
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    this.cancel();
    await this.#receiving;
    this.#clients.release();
  }

  #run<Answer>(command: (client: Redis) => Promise<Answer>): Promise<Answer> {
    return this.#clients.run(command, this.#closing.signal);
  }

  async #receive(max: number, signal: AbortSignal): Promise<Buffer[]> {
    try {
      let items: Buffer[] = [];
      if (this.#plenty) items = await this.#clients.run((client) => this.#popNow(client, max), signal);
      if (items.length === 0 && !this.#cancelled) items = await this.#wait(max, signal);
      this.#plenty = items.length === max;
      return items;
    } catch (error) {
      if (signal.aborted) return [];
      throw error;
    }
  }

  async #popNow(client: Redis, max: number): Promise<Buffer[]> {
    if (this.#cancelled) return [];
    const end = this.#side === 'left' ? 'LEFT' : 'RIGHT';
    this.#popping = true;
    try {
      const answer = await client.callBuffer('LMPOP', 1, this.#key, end, 'COUNT', max);
      return (answer as [Buffer, Buffer[]] | null)?.[1] ?? [];
    } catch (error) {
      if (!isAnswer(error)) this.#onUnanswered(max);
      if (this.#cancelled) this.#turn.abort();
      throw error;
    } finally {
      this.#popping = false;
    }
  }

  async #wait(max: number, signal: AbortSignal): Promise<Buffer[]> {
    for (let failures = 0; !signal.aborted; ) {
      // While the broker is away the client for commands does the knocking.
      await this.#clients.online(signal);
      const client = await this.#borrow(signal);
      if (!client) return [];
      try {
        const items = await this.#popWith(client, max, signal);
        this.#clients.pool.release(client);
        if (items.length > 0) return items;
        failures = 0;
      } catch (error) {
        this.#clients.pool.destroy(client);
        await this.#clients.recover(error, failures, signal);
        failures += 1;
      }
    }
    return [];
  }

  /** A blocking client, unless `signal` is aborted first: then the client that comes goes straight back. */
  async #borrow(signal: AbortSignal): Promise<BlockingClient | undefined> {
    const { pool } = this.#clients;
    const borrowing = pool.acquire();
    const client = await untilAborted(borrowing, signal);
    if (!client) borrowing.then((late) => pool.release(late)).catch(() => {});
    return client;
  }

  async #popWith(client: BlockingClient, max: number, signal: AbortSignal): Promise<Buffer[]> {
    await untilAborted(client.open(), signal);
    if (signal.aborted) return [];
    let unblocking: Promise<void> | undefined;
    const unblock = (): void => {
      unblocking = client.unblock(this.#clients);
    };
    signal.addEventListener('abort', unblock);
    try {
      return await client.pop(this.#key, this.#side, max, this.#clients.pool.turn);
    } catch (error) {
      if (!isAnswer(error)) this.#onUnanswered(max);
      throw error;
    } finally {
      signal.removeEventListener('abort', unblock);
      await unblocking;
    }
  }
}

/** What a promise gives, or nothing when `signal` is aborted first. */
async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  promise.catch(() => {});
  if (signal.aborted) return undefined;
  let abort: (() => void) | undefined;
  const aborted = new Promise<undefined>((resolve) => {
    abort = () => resolve(undefined);
    signal.addEventListener('abort', abort);
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    if (abort) signal.removeEventListener('abort', abort);
  }
}
