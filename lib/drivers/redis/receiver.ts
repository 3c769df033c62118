import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Receiver, ReceiverOptions, Side } from '../../driver.ts';
import { type RedisClients, unboundedAbortController } from './clients.ts';
import type { QueueKeys } from './keys.ts';
import { entryOf } from './parcel.ts';
import type { BlockingClient, Popped } from './pool.ts';
import { isAnswer } from './refusals.ts';
import { DEAD_LETTERS } from './scripts/shared.ts';
import { waitOnce } from './waiting.ts';

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
  readonly #keys: QueueKeys;
  /** What comes again, then the queue. */
  readonly #lists: readonly string[];
  readonly #again: Buffer;
  readonly #side: Side;
  readonly #onUnanswered: (atMost: number) => void;
  readonly #closing = unboundedAbortController();
  /** Aborted to end the call under way, where it waits. */
  #turn = unboundedAbortController();
  #cancelled = false;
  /** Whether a pop that does not block is on its way: it is over in a moment, and cannot be stopped. */
  #popping = false;
  #receiving: Promise<unknown> = Promise.resolve();
  readonly #unwatch: () => void;
  /** Whether the last answer was as large as it could be, so that there is probably more. */
  #plenty = false;

  constructor(clients: RedisClients, keys: QueueKeys, options: ReceiverOptions) {
    this.#clients = clients;
    this.#keys = keys;
    this.#lists = [keys.again, keys.queue];
    this.#again = Buffer.from(keys.again);
    this.#side = options.side;
    this.#onUnanswered = options.onUnanswered;
    clients.retain();
    this.#unwatch = clients.wakes.watch(keys);
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
      const record = this.#keys.producer(randomUUID());
      await this.#run((client) => client.millraceGiveBack(this.#keys.queue, record, command, RECORD_TTL, ...some));
    }
  }

  async deadLetter(item: Buffer, reason: string): Promise<void> {
    const fields = ['item', item, 'reason', reason, 'attempts', 1] as const;
    await this.#run((client) => client.xadd(this.#keys.dead, 'MAXLEN', DEAD_LETTERS, '*', ...fields));
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    this.cancel();
    await this.#receiving;
    this.#unwatch();
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
      // Who takes singly had better wait for each: that finds what there is, too.
      this.#plenty = max > 1 && items.length === max;
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
      const answer = await client.callBuffer('LMPOP', this.#lists.length, ...this.#lists, end, 'COUNT', max);
      return this.#popped(answer as Popped | null) ?? [];
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
      try {
        const found = await waitOnce(this.#clients, signal, (client, milliseconds) =>
          this.#pop(client, max, milliseconds),
        );
        if (found) return found;
        failures = 0;
      } catch (error) {
        await this.#clients.recover(error, failures, signal);
        failures += 1;
      }
    }
    return [];
  }

  async #pop(client: BlockingClient, max: number, milliseconds: number): Promise<Buffer[] | undefined> {
    try {
      return this.#popped(await client.pop(this.#lists, this.#side, max, milliseconds));
    } catch (error) {
      if (!isAnswer(error)) this.#onUnanswered(max);
      throw error;
    }
  }

  #popped(answer: Popped | null): Buffer[] | undefined {
    if (!answer) return undefined;
    const [list, items] = answer;
    return list.equals(this.#again) ? items.map((entry) => entryOf(entry).body) : items;
  }
}
