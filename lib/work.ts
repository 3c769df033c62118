import type { StandardSchemaV1 } from '@standard-schema/spec';
import { AckStream } from './ack-stream.ts';
import { connectionFor, requireSupport } from './connect.ts';
import { type DeliveryOptions, deliveryDefaults } from './delivery-options.ts';
import { DeliveryStream } from './delivery-stream.ts';
import { invalidType, MillraceError } from './errors.ts';
import { type HandleOptions, type Handler, handleOptions, handler as handlerCheck } from './handling.ts';
import { type CloseOptions, checkQueueName, closeTimeout } from './options.ts';
import { type PushOptions, PushStream } from './push-stream.ts';
import { pipeline, type Writable, whenClosed } from './streams.ts';
import { Deadline, within } from './timeout.ts';
import { WorkTransform } from './work-transform.ts';

/** The options of {@link work}. */
export interface WorkOptions extends DeliveryOptions, HandleOptions {
  /**
   * A queue on the same connection, for the handler's results. An item whose result cannot be stored, as `undefined` cannot, goes to the
   * dead letters. Default: none, results are dropped.
   */
  to?: string;
}

/** A worker that runs until it is closed. */
export interface Service extends AsyncDisposable {
  /**
   * Where its deliveries come from, for those of its events that are nobody's failure: `'retry'`, `'dead'`, `'invalid'`, `'lost'`.
   * Nobody else should read it.
   */
  readonly stream: DeliveryStream;
  /** Resolves when the broker answers. Rejects when the service fails, or is closed, before. Need not be looked at. */
  readonly ready: Promise<void>;
  /**
   * Resolves when the service has been closed, or its `signal` was aborted. Rejects when it fails: where nobody looks at it, that
   * is an unhandled rejection, which ends the process, as Node has it for any failure that nobody sees to.
   */
  readonly closed: Promise<void>;
  /**
   * Takes no more, and resolves when the handlers that run are over, what they had is settled, and all else is put back. When the
   * time is over the handlers' signals are aborted and what they have is put back. Rejects when the service fails. Safe to call twice.
   */
  close(options?: CloseOptions): Promise<void>;
}

type Sink = InstanceType<typeof Writable>;

class Worker implements Service {
  readonly stream: DeliveryStream;
  readonly ready: Promise<void>;
  readonly closed: Promise<void>;
  readonly #sinks: readonly Sink[];
  #closing: Promise<void> | undefined;
  #gaveUp = false;

  constructor(stream: DeliveryStream, sinks: readonly Sink[]) {
    this.stream = stream;
    this.#sinks = sinks;
    this.ready = this.#whenReady();
    this.ready.catch(() => {});
    this.closed = this.#run();
  }

  close(options?: CloseOptions): Promise<void> {
    const timeout = closeTimeout(options);
    this.#closing ??= this.#close(timeout);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #whenReady(): Promise<void> {
    const closed = whenClosed(this.stream).then(() => {
      throw this.stream.errored ?? new MillraceError('CLOSED', 'The service was closed before the broker answered');
    });
    await Promise.race([new Promise((resolve) => this.stream.once('ready', resolve)), closed]);
  }

  async #run(): Promise<void> {
    const failure = await new Promise<Error | null | undefined>((resolve) => {
      pipeline([this.stream, ...this.#sinks] as never, resolve);
    });
    // What failed may hold deliveries, also when the stream had ended before.
    if (failure) this.stream.destroy();
    await whenClosed(this.stream);
    if (failure && !this.#gaveUp && failure.name !== 'AbortError') throw failure;
  }

  async #close(timeout: number): Promise<void> {
    const deadline = new Deadline(timeout);
    await this.stream.close({ timeout });
    await within(this.closed, deadline.left).catch(() => {});
    // A handler that does not heed its signal would keep them open.
    this.#gaveUp = true;
    for (const sink of this.#sinks) sink.destroy();
    await this.closed;
  }
}

/**
 * Runs a handler on the items of a queue, `concurrency` at a time, each settled by its own outcome, until the service is closed: a
 * `DeliveryStream` piped into an `AckStream`; with `to` into a `WorkTransform`, and that into a `PushStream` of that queue, which
 * stores each result in the step that settles what it was made of.
 *
 * It takes the options of all of these. `highWaterMark` is at least twice the `concurrency` where it is not given.
 *
 * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE where name, handler or options are wrong;
 *   ERR_MILLRACE_NOT_SUPPORTED where the broker can't do what they ask; ERR_MILLRACE_CLOSED where the connection is closed
 */
// biome-ignore lint/suspicious/noExplicitAny: what a user who names no type gets
export function work<T = any>(
  queue: string,
  handler: Handler<T, unknown>,
  // biome-ignore lint/suspicious/noExplicitAny: a schema takes what it takes
  options: WorkOptions & { schema?: StandardSchemaV1<any, T> } = {},
): Service {
  if (typeof options !== 'object' || options === null) throw invalidType('options', 'of type object', options);
  const { concurrency, timeout, to, ...pulling } = options;
  handlerCheck(handler, 'handler');
  const handling = handleOptions({ concurrency, timeout } as HandleOptions);
  const highWaterMark = Math.max(deliveryDefaults.highWaterMark, 2 * handling.concurrency);
  const { connection, codec, maxBytes } = pulling;
  if (to !== undefined) {
    checkQueueName(to);
    requireSupport(connectionFor(connection), 'hops', 'hops');
  }
  const stream = new DeliveryStream<T>(queue, { ...pulling, highWaterMark: pulling.highWaterMark ?? highWaterMark });
  if (to === undefined) return new Worker(stream, [new AckStream<T>(handler, handling)]);
  // A result that can't be stored costs its own item, not the service.
  const results = new PushStream(to, { connection, codec, maxBytes, invalid: 'skip' } as PushOptions);
  return new Worker(stream, [new WorkTransform(handler, handling), results]);
}
