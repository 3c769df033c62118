import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { MillraceError } from '../errors.ts';
import { packetsIn } from '../packet.ts';
import type { PushStream } from '../push-stream.ts';
import { closeClient } from './place.ts';
import { type RedisPlace, redisAt } from './redis.ts';
import { report } from './report.ts';
import { requestsTo, type SwarmOptions } from './swarm-requests.ts';

/** What a consumer answers. */
interface Response {
  readonly id: string;
  readonly err?: unknown;
  readonly result?: unknown;
}

/** Told once what comes of a request. */
// biome-ignore lint/suspicious/noExplicitAny: it is what the other end says
type Callback = (err: any, result?: any) => void;

/**
 * The producer of swarm. Emits `'success'` or `'failure'` with each response, `{ id, err, result }`, behind its callback, and `'error'`
 * when requests can't be queued that have no callback.
 */
export class Producer extends EventEmitter {
  readonly #options: SwarmOptions;
  readonly #redis: RedisPlace;
  readonly #id = randomUUID();
  readonly #channel: string;
  readonly #streams = new Map<string, PushStream>();
  /** What takes the response, by request. */
  readonly #waiting = new Map<string, (response: Response) => void>();
  #stopListening: (() => void) | undefined;
  #isEnded = false;

  /** @internal */
  constructor(options: SwarmOptions) {
    super();
    this.#options = options;
    this.#redis = redisAt(options);
    this.#channel = `${options.namespace}:response:${this.#id}`;
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
    const stream = this.#streamTo(`${this.#options.namespace}:${channel}`);
    void this.#ask(stream, { command, payload }, callback);
  }

  /** Queues no more, and lets go of Redis when all is stored and answered. */
  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    for (const stream of this.#streams.values()) stream.end();
    this.#rest();
    closeClient(this.#options);
  }

  #streamTo(queue: string): PushStream {
    const before = this.#streams.get(queue);
    if (before && !before.destroyed) return before;
    const stream = requestsTo(this.#redis, queue, this);
    this.#streams.set(queue, stream);
    return stream;
  }

  async #ask(stream: PushStream, asked: object, callback?: Callback): Promise<void> {
    const id = randomUUID();
    try {
      // It is listened for before it is asked for.
      const response = callback && this.#responseTo(id);
      await stream.send({ id, ...asked, replyTo: callback && this.#id });
      if (response) this.#tell(await response, callback);
    } catch (error) {
      if (callback) process.nextTick(callback, error);
      else report(this, error);
    }
    this.#waiting.delete(id);
    this.#rest();
  }

  #responseTo(id: string): Promise<Response> {
    const listener = {
      hear: (message: string) => this.#hear(message),
      begin: () => this.#readKept().catch((error) => report(this, error)),
    };
    this.#stopListening ??= this.#redis.clients.subscriptions.listen(this.#channel, listener);
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }

  #hear(message: string): void {
    const [response] = packetsIn(message) as [Response | null | undefined];
    if (response) this.#waiting.get(response.id)?.(response);
  }

  /** Hears what ours have kept: what was published while nobody heard it is lost. */
  async #readKept(): Promise<void> {
    const lists = Array.from(this.#waiting.keys(), (id) => `${this.#channel}:${id}`);
    const kept = await this.#redis.ask((client) => Promise.all(lists.map((list) => client.lindex(list, 0))));
    for (const message of kept) if (message) this.#hear(message);
  }

  #tell(response: Response, callback: Callback): void {
    this.#redis.clients.client?.unlink(`${this.#channel}:${response.id}`).catch(() => {});
    // In ticks of their own: what a listener throws shall not meet anybody else.
    process.nextTick(callback, response.err, response.result);
    process.nextTick(() => this.emit((response.err ?? null) === null ? 'success' : 'failure', response));
  }

  /** Listens no more when all is over. */
  #rest(): void {
    if (this.#isEnded && this.#waiting.size === 0) this.#stopListening?.();
  }
}
