import type { Cancellations, RequestName } from '../../driver.ts';
import { Expiring } from '../../expiring.ts';
import { cancelledName } from '../../packet.ts';
import type { RedisClients } from './clients.ts';
import type { QueueKeys } from './keys.ts';
import { isAnswer, refusal } from './refusals.ts';
import type { Listener } from './subscriptions.ts';

/** How often who may not subscribe, or could not read, looks for what is cancelled, in milliseconds. */
const POLL = 1000;

/** The cancelled requests of a queue, as they are told: in memory, for each request is looked up here. */
export class RedisCancellations implements Cancellations, Listener {
  readonly ready: Promise<void>;
  readonly #clients: RedisClients;
  readonly #keys: QueueKeys;
  readonly #onCancelled: (request: string) => void;
  readonly #names: Expiring;
  readonly #unlisten: () => void;
  readonly #polling: NodeJS.Timeout;
  #isReady: () => void = () => {};
  /** Whether it could not be read, because the server was busy or the like. */
  #isUnread = false;

  constructor(clients: RedisClients, keys: QueueKeys, onCancelled: (request: string) => void) {
    this.#clients = clients;
    this.#keys = keys;
    this.#onCancelled = onCancelled;
    this.#names = new Expiring(() => clients.now());
    this.ready = new Promise((resolve) => {
      this.#isReady = resolve;
    });
    this.#unlisten = clients.subscriptions.listen(keys.wake, this);
    this.#polling = setInterval(() => {
      if (this.#isUnread || clients.subscriptions.isRefused(keys.wake)) this.begin();
    }, POLL).unref();
  }

  has(request: RequestName): boolean {
    return this.#names.size > 0 && this.#names.has(cancelledName(request));
  }

  close(): void {
    clearInterval(this.#polling);
    this.#unlisten();
    this.#isReady();
  }

  /** What was published: 'cancel', until when it is to be known, and its name. */
  hear(message: string): void {
    const found = /^cancel (\d+) /.exec(message);
    if (found) this.#add(message.slice(found[0].length), Number(found[1]));
  }

  begin(): void {
    void this.#load();
  }

  async #load(): Promise<void> {
    const { client } = this.#clients;
    if (!client) return;
    this.#isUnread = false;
    try {
      const all = await client.zrangebyscore(this.#keys.cancelled, `(${this.#clients.now()}`, '+inf', 'WITHSCORES');
      for (let i = 0; i < all.length; i += 2) this.#add(all[i] as string, Number(all[i + 1]));
    } catch (error) {
      // It is asked again: when the connection is back, or in a moment. What refuses for good says so elsewhere.
      this.#isUnread = isAnswer(error) && !refusal(error);
      if (!isAnswer(error) || this.#isUnread) return;
    }
    this.#isReady();
  }

  #add(request: string, until: number): void {
    if (this.#names.add(request, until)) this.#onCancelled(request);
  }
}
