import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { RedisClients } from '../drivers/redis/clients.ts';
import { MillraceError } from '../errors.ts';
import { PushStream } from '../push-stream.ts';
import { closeClient, connectionOf, type PlaceOptions } from './place.ts';
import { clientsOf, publish } from './redis.ts';
import { report } from './report.ts';
import { type Callback, type Response, Responses } from './swarm-responses.ts';

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
  readonly #responses: Responses;
  #isEnded = false;

  /** @internal */
  constructor(options: PlaceOptions, namespace: string) {
    super();
    this.#options = options;
    this.#namespace = namespace;
    this.#clients = clientsOf(options);
    this.#responses = new Responses(this.#clients, `${namespace}:response:${this.#id}`, {
      told: (response) => this.#tell(response),
      failed: (error) => report(this, error),
    });
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
    if (callback) this.#responses.expect(id, callback);
    this.#queue(stream, channel, { id, command, payload, replyTo }).catch((error) => this.#fail(id, error));
  }

  /** Queues no more, and lets go of Redis when all is stored and answered. */
  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    const end = (): void => {
      for (const stream of this.#streams.values()) stream.end();
      this.#responses.end();
    };
    this.#responses.ready.then(end, end);
    closeClient(this.#options);
  }

  async #queue(stream: PushStream, channel: string, request: object): Promise<void> {
    // A response may come before the request is known to be stored.
    await this.#responses.ready;
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

  #tell(response: Response): void {
    this.emit(response.err === undefined || response.err === null ? 'success' : 'failure', response);
  }

  #fail(id: string, error: Error): void {
    const callback = this.#responses.forget(id);
    if (callback) process.nextTick(callback, error);
    else report(this, error);
  }
}
