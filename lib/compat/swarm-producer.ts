import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { RedisClients } from '../drivers/redis/clients.ts';
import { MillraceError } from '../errors.ts';
import { PushStream } from '../push-stream.ts';
import { closeClient, connectionOf, type PlaceOptions } from './place.ts';
import { clientsOf, mget, publish } from './redis.ts';
import { report } from './report.ts';

/** What a consumer answers. */
export interface Response {
  readonly id: string;
  readonly err?: unknown;
  readonly result?: unknown;
}

/** Told once what comes of a request. */
// biome-ignore lint/suspicious/noExplicitAny: it is what the other end says
export type Callback = (err: any, result?: any) => void;

/**
 * The producer of swarm. Emits `'success'` or `'failure'` with each {@link Response}, behind its callback, and `'error'` when requests
 * can't be queued that have no callback.
 */
export class Producer extends EventEmitter {
  readonly #options: PlaceOptions;
  readonly #namespace: string;
  readonly #clients: RedisClients;
  readonly #id = randomUUID();
  readonly #streams = new Map<string, PushStream>();
  readonly #callbacks = new Map<string, Callback>();
  /** Resolves when it listens to the responses; at once while nobody wants any. */
  #ready: Promise<void> = Promise.resolve();
  #stopListening: (() => void) | undefined;
  #isEnded = false;

  /** @internal */
  constructor(options: PlaceOptions, namespace: string) {
    super();
    this.#options = options;
    this.#namespace = namespace;
    this.#clients = clientsOf(options);
  }

  /**
   * Queues a request, and announces it. Both wait while Redis is away.
   *
   * @param channel of the letters of a queue's name
   * @param payload may be left out
   * @param callback called with the consumer's `(err, result)`, or with why the request can't be queued
   * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE where the channel is wrong; ERR_MILLRACE_CLOSED behind {@link end}
   */
  queue(channel: string, command: string, callback: Callback): void;
  queue(channel: string, command: string, payload?: unknown, callback?: Callback): void;
  queue(channel: string, command: string, ...args: unknown[]): void {
    const [payload, callback] = (typeof args[0] === 'function' ? [undefined, args[0]] : args) as [unknown, Callback?];
    if (this.#isEnded) throw new MillraceError('CLOSED', 'The producer has been ended');
    const stream = this.#streamTo(`${this.#namespace}:${channel}`);
    const id = randomUUID();
    const replyTo = callback && this.#id;
    if (callback) {
      this.#callbacks.set(id, callback);
      this.#listen();
    }
    this.#queue(stream, channel, { id, command, payload, replyTo }).catch((error) => this.#fail(id, error));
  }

  /** Queues no more, and lets go of Redis when all is stored and answered. */
  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    const end = (): void => {
      for (const stream of this.#streams.values()) stream.end();
      this.#rest();
    };
    this.#ready.then(end, end);
    closeClient(this.#options);
  }

  async #queue(stream: PushStream, channel: string, request: object): Promise<void> {
    // A response may come before the request is known to be stored.
    await this.#ready;
    await stream.send(request);
    await publish(this.#clients, `${this.#namespace}:${channel}:request`, '');
  }

  #streamTo(queue: string): PushStream {
    const before = this.#streams.get(queue);
    if (before && !before.destroyed) return before;
    const stream = new PushStream(queue, { connection: connectionOf(this.#options) });
    // Each of its requests is told.
    stream.on('error', () => {});
    this.#streams.set(queue, stream);
    return stream;
  }

  /** Listens, from the first callback on. */
  #listen(): void {
    if (this.#stopListening) return;
    this.#clients.retain();
    const begun = new Promise<void>((begin) => {
      const listener = {
        hear: (message: string): void => this.#hear(message),
        begin: (): void => {
          begin();
          // What was published while nobody heard it.
          this.#readKept().catch((error) => report(this, error));
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

  get #channel(): string {
    return `${this.#namespace}:response:${this.#id}`;
  }

  /** Reads the responses that a consumer of ours has kept. */
  async #readKept(): Promise<void> {
    const keys = Array.from(this.#callbacks.keys(), (id) => `${this.#channel}:${id}`);
    if (keys.length === 0) return;
    for (const message of await mget(this.#clients, keys)) if (message !== null) this.#hear(message);
  }

  /** Listens no more when there is nothing to come. */
  #rest(): void {
    if (this.#isEnded && this.#callbacks.size === 0) this.#stop();
  }

  #stop(): void {
    if (!this.#stopListening) return;
    this.#stopListening();
    this.#stopListening = undefined;
    this.#clients.release();
  }

  #hear(message: string): void {
    const response = responseIn(message);
    const callback = response && this.#callbacks.get(response.id);
    // One that is said twice is heard once.
    if (!response || !callback) return;
    this.#callbacks.delete(response.id);
    this.#clients.client?.unlink(`${this.#channel}:${response.id}`).catch(() => {});
    this.#rest();
    // In a tick of its own: what a listener throws shall not meet anybody else.
    process.nextTick(() => {
      callback(response.err, response.result);
      this.emit(response.err === undefined || response.err === null ? 'success' : 'failure', response);
    });
  }

  #fail(id: string, error: Error): void {
    const callback = this.#callbacks.get(id);
    this.#callbacks.delete(id);
    this.#rest();
    if (callback) process.nextTick(callback, error);
    else report(this, error);
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
