import type { RedisClients } from '../drivers/redis/clients.ts';
import { mget } from './redis.ts';

/** What a consumer answers. */
export interface Response {
  readonly id: string;
  readonly err?: unknown;
  readonly result?: unknown;
}

/** Told once what comes of a request. */
// biome-ignore lint/suspicious/noExplicitAny: it is what the other end says
export type Callback = (err: any, result?: any) => void;

/** Who hears of the responses beside the callbacks. */
interface Owner {
  /** Called behind the callback. */
  told(response: Response): void;
  /** Called when what was missed can't be read. */
  failed(error: Error): void;
}

/** The responses to the requests of one producer, which it listens to from the first one on that somebody wants. */
export class Responses {
  readonly #clients: RedisClients;
  readonly #channel: string;
  readonly #owner: Owner;
  readonly #callbacks = new Map<string, Callback>();
  #ready: Promise<void> = Promise.resolve();
  #stopListening: (() => void) | undefined;
  #isEnded = false;

  constructor(clients: RedisClients, channel: string, owner: Owner) {
    this.#clients = clients;
    this.#channel = channel;
    this.#owner = owner;
  }

  /** Resolves when they are listened to; at once while nobody wants any. Rejects where Redis refuses us. */
  get ready(): Promise<void> {
    return this.#ready;
  }

  /** Has a callback called with the response to a request. */
  expect(id: string, callback: Callback): void {
    this.#callbacks.set(id, callback);
    this.#listen();
  }

  /** Gives the callback of a request back, which there will be no response to. */
  forget(id: string): Callback | undefined {
    const callback = this.#callbacks.get(id);
    this.#callbacks.delete(id);
    this.#rest();
    return callback;
  }

  /** Listens no more when all that are expected have come. */
  end(): void {
    this.#isEnded = true;
    this.#rest();
  }

  #listen(): void {
    if (this.#stopListening) return;
    this.#clients.retain();
    const begun = new Promise<void>((begin) => {
      const listener = {
        hear: (message: string): void => this.#hear(message),
        begin: (): void => {
          begin();
          // What was published while nobody heard it.
          this.#readKept().catch((error) => this.#owner.failed(error));
        },
      };
      this.#stopListening = this.#clients.subscriptions.listen(this.#channel, listener);
    });
    // A server that refuses us lets nobody begin.
    this.#ready = Promise.all([begun, this.#clients.ready()]).then(() => {});
    this.#ready.catch(() => {
      this.#ready = Promise.resolve();
      this.#stop();
    });
  }

  /** Reads the responses that a consumer of ours has kept. */
  async #readKept(): Promise<void> {
    const keys = Array.from(this.#callbacks.keys(), (id) => `${this.#channel}:${id}`);
    if (keys.length === 0) return;
    for (const message of await mget(this.#clients, keys)) if (message !== null) this.#hear(message);
  }

  #hear(message: string): void {
    const response = responseIn(message);
    const callback = response && this.#callbacks.get(response.id);
    // One that is said twice is heard once.
    if (!response || !callback) return;
    this.#clients.client?.unlink(`${this.#channel}:${response.id}`).catch(() => {});
    this.forget(response.id);
    // In a tick of its own: what a listener throws shall not meet anybody else.
    process.nextTick(() => {
      callback(response.err, response.result);
      this.#owner.told(response);
    });
  }

  #rest(): void {
    if (this.#isEnded && this.#callbacks.size === 0) this.#stop();
  }

  #stop(): void {
    if (!this.#stopListening) return;
    this.#stopListening();
    this.#stopListening = undefined;
    this.#clients.release();
  }
}

/** The response in a message; nothing where it is none. */
function responseIn(message: string): Response | undefined {
  try {
    const said: unknown = JSON.parse(message);
    return typeof said === 'object' && said !== null && 'id' in said ? (said as Response) : undefined;
  } catch {
    return undefined;
  }
}
