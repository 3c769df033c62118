import { EventEmitter } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import type { Delivery } from '../delivery.ts';
import type { DeadEvent } from '../delivery-options.ts';
import { messageOf } from '../errors.ts';
import type { PushStream } from '../push-stream.ts';
import type { Service } from '../service.ts';
import { work } from '../work.ts';
import { closeClient } from './place.ts';
import { type RedisPlace, redisAt } from './redis.ts';
import { report, reportInvalid } from './report.ts';
import { schemaOf } from './schema.ts';
import { requestsTo, type SwarmOptions } from './swarm-requests.ts';

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
  readonly #redis: RedisPlace;
  readonly #responses: string;
  readonly #service: Service;
  /** To the queue it takes from. */
  readonly #back: PushStream;

  /** @internal */
  constructor(options: SwarmOptions, channel: string) {
    super();
    this.#redis = redisAt(options);
    this.#responses = `${options.namespace}:response:`;
    const queue = `${options.namespace}:${channel}`;
    const working = { connection: this.#redis.connection, concurrency: CONCURRENCY, schema: request };
    this.#service = work<Request>(queue, (value, delivery) => this.#work(value, delivery), working);
    this.#back = requestsTo(this.#redis, queue, this);
    reportInvalid(this.#service.stream, this);
    this.#service.stream.on('dead', ({ reason }: DeadEvent) => report(this, reason));
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

  async #work({ id, command, payload, replyTo }: Request, delivery: Delivery<Request>): Promise<void> {
    if (this.listenerCount(command) === 0) await setTimeout(UNHANDLED);
    if (this.listenerCount(command) === 0) return this.#back.send(delivery);
    const respond = this.#responder(id, replyTo);
    const args = payload === undefined || payload === null ? [respond] : [payload, respond];
    try {
      await Promise.all(this.rawListeners(command).map((handler) => handler.apply(this, args)));
    } catch (error) {
      if (replyTo) respond(error ?? new Error('The handler has failed'));
      else await delivery.reject(error);
    }
  }

  /** What sends the response to a request, where somebody waits for it, the first time it is called. */
  #responder(id: string, replyTo: string | undefined): (err?: unknown, result?: unknown) => void {
    let isOver = !replyTo;
    return (err, result) => {
      if (isOver) return;
      isOver = true;
      const channel = this.#responses + replyTo;
      const response = responseText(id, err, result);
      this.#redis.answer(`${channel}:${id}`, response, EXPIRY, channel).catch((error) => report(this, error));
    };
  }
}

/** A response in JSON: an error is said by its message. */
function responseText(id: string, err: unknown, result: unknown): string {
  const said = err instanceof Error ? err.message : err;
  try {
    return JSON.stringify({ id, err: said ?? undefined, result: result ?? undefined });
  } catch (error) {
    return JSON.stringify({ id, err: messageOf(error) });
  }
}
