import { LONGEST_TIMER } from '../../options.ts';
import type { RedisClients } from './clients.ts';
import type { QueueKeys } from './keys.ts';
import { isAnswer } from './refusals.ts';
import { clock } from './scripts/index.ts';
import type { Listener } from './subscriptions.ts';

/** How often a queue is looked at by who may not subscribe, in milliseconds. */
const POLL = 1000;

/** A queue that somebody takes from: what is due there comes again in time, and those who wait are told. */
class Watch implements Listener {
  readonly listeners = new Set<() => void>();
  readonly #clients: RedisClients;
  readonly #keys: QueueKeys;
  #timer: NodeJS.Timeout | undefined;
  #dueAt = Number.POSITIVE_INFINITY;
  users = 0;
  unlisten: (() => void) | undefined;

  constructor(clients: RedisClients, keys: QueueKeys) {
    this.#clients = clients;
    this.#keys = keys;
  }

  /** What was published: 'again', or 'due' and in how many milliseconds. */
  hear(message: string): void {
    if (message.startsWith('due ')) this.#lookIn(Number(message.slice(4)));
    else if (message === 'again') this.tell();
  }

  begin(): void {
    this.tell();
    void this.look();
  }

  tell(): void {
    for (const listener of this.listeners) listener();
  }

  /** Lets what is due come again, and looks anew when the next is. */
  async look(): Promise<void> {
    this.stop();
    const { client } = this.#clients;
    // Whoever is online next looks first.
    if (!client || this.users === 0) return;
    try {
      const next = await client.millraceDue(this.#keys.delayed, this.#keys.again, clock.offset, this.#keys.wake);
      if (this.#clients.subscriptions.isRefused(this.#keys.wake)) {
        this.tell();
        this.#lookIn(next < 0 ? POLL : Math.min(next, POLL));
      } else if (next >= 0) {
        this.#lookIn(next);
      }
    } catch (error) {
      if (isAnswer(error)) this.#lookIn(POLL);
    }
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#dueAt = Number.POSITIVE_INFINITY;
  }

  #lookIn(milliseconds: number): void {
    const at = performance.now() + milliseconds;
    if (at >= this.#dueAt || this.users === 0) return;
    clearTimeout(this.#timer);
    this.#dueAt = at;
    this.#timer = setTimeout(() => void this.look(), Math.min(milliseconds, LONGEST_TIMER));
  }
}

/** Watches queues for what comes again there. */
export class Wakes {
  readonly #clients: RedisClients;
  readonly #watches = new Map<string, Watch>();

  constructor(clients: RedisClients) {
    this.#clients = clients;
  }

  /** Watches a queue until the function that it gives is called; `onWake` is called when something comes again there. */
  watch(keys: QueueKeys, onWake?: () => void): () => void {
    const watch = this.#watches.get(keys.wake) ?? this.#begin(keys);
    watch.users += 1;
    if (onWake) watch.listeners.add(onWake);
    return () => {
      if (onWake) watch.listeners.delete(onWake);
      watch.users -= 1;
      if (watch.users === 0) this.#end(keys.wake, watch);
    };
  }

  /** Watches nothing any more. */
  close(): void {
    for (const watch of this.#watches.values()) {
      watch.users = 0;
      watch.stop();
    }
    this.#watches.clear();
  }

  hear(channel: string, message: string): void {
    this.#watches.get(channel)?.hear(message);
  }

  #begin(keys: QueueKeys): Watch {
    const watch = new Watch(this.#clients, keys);
    this.#watches.set(keys.wake, watch);
    watch.unlisten = this.#clients.subscriptions.listen(keys.wake, watch);
    return watch;
  }

  #end(channel: string, watch: Watch): void {
    watch.stop();
    this.#watches.delete(channel);
    watch.unlisten?.();
  }
}
