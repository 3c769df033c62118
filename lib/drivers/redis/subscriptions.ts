import type { Redis } from 'ioredis';
import type { RedisClients } from './clients.ts';
import { isAnswer, refusal } from './refusals.ts';

/** When a subscription is tried again that a busy server has refused, in milliseconds. */
const RETRY = 1000;

/** Who listens to a channel. */
export interface Listener {
  hear(message: string): void;
  /** Called before it is subscribed to, each time: what is heard from then on may come behind what was not. */
  prepare?(): void;
  /** Called when it is subscribed to, and each time it is again: what was told before that was not heard. Without the permission, too. */
  begin(): void;
}

/** What the client for commands is subscribed to: RESP3 lets it go on with commands. */
export class Subscriptions {
  readonly #clients: RedisClients;
  readonly #listeners = new Map<string, Set<Listener>>();
  /** The channels that the server does not let us subscribe to. */
  readonly #refused = new Set<string>();
  #retry: NodeJS.Timeout | undefined;

  constructor(clients: RedisClients) {
    this.#clients = clients;
  }

  /** Listens to a channel until the function that it gives is called. The connection is kept open meanwhile. */
  listen(channel: string, listener: Listener): () => void {
    this.#clients.retain();
    const listeners = this.#listeners.get(channel);
    const { client } = this.#clients;
    if (listeners) {
      listeners.add(listener);
      // It may be subscribed to already. If not, it begins twice.
      if (client) queueMicrotask(() => listener.begin());
    } else {
      this.#listeners.set(channel, new Set([listener]));
      if (client) void this.#subscribe(client, [channel]);
    }
    return () => this.#forget(channel, listener);
  }

  /** Begins anew with a client that has just come online. */
  async resume(client: Redis): Promise<void> {
    await this.#subscribe(client, [...this.#listeners.keys()]);
  }

  hear(channel: string, message: string): void {
    for (const listener of this.#listeners.get(channel) ?? []) listener.hear(message);
  }

  /** Whether the server does not let us subscribe to a channel: who listens there must look for itself. */
  isRefused(channel: string): boolean {
    return this.#refused.has(channel);
  }

  async #subscribe(client: Redis, channels: readonly string[]): Promise<void> {
    if (channels.length === 0) return;
    const tellAll = (tell: (listener: Listener) => void): void => {
      for (const channel of channels) for (const listener of this.#listeners.get(channel) ?? []) tell(listener);
    };
    tellAll((listener) => listener.prepare?.());
    try {
      await client.subscribe(...channels);
      for (const channel of channels) this.#refused.delete(channel);
    } catch (error) {
      // Without a connection there is another welcome.
      if (!isAnswer(error)) return;
      if (channels.length > 1) {
        await this.#subscribeSingly(client, channels);
        return;
      }
      for (const channel of channels) if (this.#listeners.has(channel)) this.#refused.add(channel);
      if (!refusal(error)) this.#tryAgain();
    }
    tellAll((listener) => listener.begin());
  }

  /** A command is refused for one of its channels that is not permitted. */
  async #subscribeSingly(client: Redis, channels: readonly string[]): Promise<void> {
    const wanted = channels.filter((channel) => this.#listeners.has(channel));
    await Promise.all(wanted.map((channel) => this.#subscribe(client, [channel])));
  }

  /** What is refused in passing is tried again in a moment. */
  #tryAgain(): void {
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      const { client } = this.#clients;
      if (client) void this.#subscribeSingly(client, [...this.#refused]);
    }, RETRY).unref();
  }

  #forget(channel: string, listener: Listener): void {
    const listeners = this.#listeners.get(channel);
    if (!listeners?.delete(listener)) return;
    if (listeners.size === 0) {
      this.#listeners.delete(channel);
      this.#refused.delete(channel);
      this.#clients.client?.unsubscribe(channel).catch(() => {});
    }
    this.#clients.release();
  }
}
