import { EventEmitter } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import type { Delivery } from '../delivery.ts';
import type { DeadEvent } from '../delivery-options.ts';
import type { RedisClients } from '../drivers/redis/clients.ts';
import { messageOf } from '../errors.ts';
import { PushStream } from '../push-stream.ts';
import type { Service } from '../service.ts';
import { work } from '../work.ts';
import { closeClient, connectionOf, type PlaceOptions } from './place.ts';
import { clientsOf, publish, publishKept } from './redis.ts';
import { report, reportInvalid } from './report.ts';
import { schemaOf } from './schema.ts';

interface Request {
  readonly id: string;
  readonly command: string;
  readonly payload?: unknown;
  readonly replyTo?: string;
}

/** How long a request is kept whose command nobody handles here before others may have it, in milliseconds. */
const UNHANDLED = 1000;

/** How long a response can be found by a producer that was cut off, in milliseconds. */
const EXPIRY = 60_000;

/** How many handlers that return promises run at a time. */
const CONCURRENCY = 100;

const request = schemaOf(
  (value): value is Request => typeof (value as Partial<Request> | null)?.command === 'string',
  'a request has a command',
);

/**
 * The consumer of swarm: it emits each request of its channel as an event that is named as its command, with the payload, where there
 * is one, and a callback for `(err, result)`.
 *
 * - A request is done when its handlers have returned, or what they return is fulfilled, whether they have called back or not. One whose
 *   handler throws, or rejects, is answered with that; where nobody waits for an answer, it goes to the dead letters.
 * - What is answered is kept for a minute, for a producer of ours whose connection is broken at that moment.
 * - One whose command nobody handles within a second goes back to the queue, behind all others, for whoever waits first.
 *
 * What is no request goes to the dead letters. That, and what goes there because of a handler, is told by an `'error'` event, or
 * where nobody listens to that by a warning, and stops nothing.
 */
export class Consumer extends EventEmitter {
  readonly #namespace: string;
  readonly #channel: string;
  readonly #clients: RedisClients;
  readonly #service: Service;
  /** To the queue it takes from. */
  readonly #back: PushStream;

  /** @internal */
  constructor(options: PlaceOptions, namespace: string, channel: string) {
    super();
    this.#namespace = namespace;
    this.#clients = clientsOf(options);
    this.#channel = channel;
    const queue = `${namespace}:${channel}`;
    const connection = connectionOf(options);
    const working = { connection, concurrency: CONCURRENCY, schema: request };
    this.#service = work<Request>(queue, (value, delivery) => this.#work(value, delivery), working);
    this.#back = new PushStream(queue, { connection });
    reportInvalid(this.#service.stream, this);
    this.#service.stream.on('dead', ({ reason }: DeadEvent) => report(this, errorOf(reason)));
    // What befalls it befalls the service, too.
    this.#back.on('error', () => {});
    this.#service.closed
      .catch((error) => process.nextTick(() => this.emit('error', error)))
      .then(() => {
        this.#back.end();
        closeClient(options);
      });
  }

  /** Takes no more requests. What handlers have begun they may finish, and answer. */
  end(): void {
    // Its failure is told as all are.
    this.#service.close().catch(() => {});
  }

  async #work(asked: Request, delivery: Delivery<Request>): Promise<void> {
    if (this.listenerCount(asked.command) === 0) await setTimeout(UNHANDLED);
    const handlers = this.rawListeners(asked.command);
    if (handlers.length === 0) {
      await this.#putBack(delivery);
      return;
    }
    const { id, payload, replyTo } = asked;
    const settle = replyTo ? this.#answer(id, replyTo) : () => {};
    const args = payload === undefined || payload === null ? [settle] : [payload, settle];
    try {
      await Promise.all(handlers.map((handler) => handler.apply(this, args)));
    } catch (error) {
      if (replyTo) settle(error ?? new Error('The handler has failed'));
      else await delivery.reject(error);
    }
  }

  async #putBack(delivery: Delivery<Request>): Promise<void> {
    await this.#back.send(delivery);
    await publish(this.#clients, `${this.#namespace}:${this.#channel}:request`, '');
  }

  /** What sends the answer to a request, the first time it is called. */
  #answer(id: string, replyTo: string): (err?: unknown, result?: unknown) => void {
    let isOver = false;
    return (err, result) => {
      if (isOver) return;
      isOver = true;
      const channel = `${this.#namespace}:response:${replyTo}`;
      const kept = { key: `${channel}:${id}`, expiry: EXPIRY };
      publishKept(this.#clients, channel, responseText(id, err, result), kept).catch((error) => report(this, error));
    };
  }
}

function errorOf(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(messageOf(reason));
}

/** A response in JSON: an error is said by its message. */
function responseText(id: string, err: unknown, result: unknown): string {
  const said = (thrown: unknown): unknown => (thrown instanceof Error ? messageOf(thrown) : thrown);
  try {
    return JSON.stringify({ id, err: said(err) ?? undefined, result: result ?? undefined });
  } catch (error) {
    return JSON.stringify({ id, err: messageOf(error) });
  }
}
