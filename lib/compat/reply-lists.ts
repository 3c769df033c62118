import { type RedisClients, unboundedAbortController } from '../drivers/redis/clients.ts';
import type { Popped } from '../drivers/redis/pool.ts';
import { waitOnce } from '../drivers/redis/waiting.ts';

/** Called with the item of a list, or with why there will be none. */
export type Waiter = (error: Error | null, item?: { readonly list: string; readonly text: string }) => void;

/** How many one client waits for: Redis looks at the lists of all of them each time. */
const MOST = 128;

const never = unboundedAbortController().signal;

/** Waits for the first item in any of some lists, for many who wait at once, with one client. */
export class ReplyLists {
  readonly #clients: RedisClients;
  readonly #waiters = new Map<string, { readonly lists: readonly string[]; readonly waiter: Waiter }>();
  /** Aborted to begin the wait anew, with more lists. */
  #turn = unboundedAbortController();
  #isWaiting = false;

  constructor(clients: RedisClients) {
    this.#clients = clients;
  }

  get isEmpty(): boolean {
    return this.#waiters.size === 0;
  }

  get isFull(): boolean {
    return this.#waiters.size >= MOST;
  }

  /** Has a waiter called, once, with what comes first in one of its lists, which are nobody else's. While it waits the process goes on. */
  wait(lists: readonly string[], waiter: Waiter): void {
    const one = { lists, waiter };
    for (const list of lists) this.#waiters.set(list, one);
    this.#turn.abort();
    if (!this.#isWaiting) void this.#run();
  }

  async #run(): Promise<void> {
    this.#isWaiting = true;
    this.#clients.retain();
    try {
      for (let failures = 0; !this.isEmpty; ) failures = (await this.#waitOnce(failures)) ? 0 : failures + 1;
    } catch (error) {
      for (const { waiter } of new Set(this.#waiters.values())) process.nextTick(waiter, error);
      this.#waiters.clear();
    }
    this.#clients.release();
    this.#isWaiting = false;
  }

  /** Whether that went well; rejects with what will not heal. */
  async #waitOnce(failures: number): Promise<boolean> {
    this.#turn = unboundedAbortController();
    const { signal } = this.#turn;
    const lists = [...this.#waiters.keys()];
    try {
      this.#receive(await waitOnce(this.#clients, signal, (client, time) => client.pop(lists, 'left', 1, time)));
      return true;
    } catch (error) {
      if (signal.aborted) return true;
      await this.#clients.recover(error, failures, never);
      return false;
    }
  }

  #receive(popped: Popped | null | undefined): void {
    if (!popped) return;
    const list = String(popped[0]);
    const one = this.#waiters.get(list);
    for (const each of one?.lists ?? []) this.#waiters.delete(each);
    // In a tick of its own: what a callback throws shall not meet anybody else.
    if (one) process.nextTick(one.waiter, null, { list, text: String(popped[1][0]) });
  }
}
