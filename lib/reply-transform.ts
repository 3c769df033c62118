import { releaseBuffered } from './buffers.ts';
import { type Connection, connectionFor, internal, requireSupport } from './connect.ts';
import {
  type Contract,
  type ContractOption,
  contractCheck,
  type Handlers,
  methodsOf,
  type Untyped,
} from './contract.ts';
import { type Delivery, type Receipt, type Share, share, shareOf } from './delivery.ts';
import type { Consumer, DriverConnection } from './driver.ts';
import { MillraceError } from './errors.ts';
import { type HandleOptions, type Handler, Handling, handleChecks, handleDefaults } from './handling.ts';
import { HandlingTransform } from './handling-transform.ts';
import { handlerOf, type RequestHandler } from './methods.ts';
import {
  abortSignal,
  CLOSE_TIMEOUT,
  type CloseOptions,
  closeTimeout,
  integer,
  reserve,
  unchecked,
  withDefaults,
  yesOrNo,
} from './options.ts';
import { type Origin, RequestQueue } from './origin.ts';
import { cancelledName, type RequestPacket, requestIn } from './packet.ts';
import { brokenOff, discard, PartRun } from './part-run.ts';
import { PlainRequests } from './plain-requests.ts';
import { isAsyncIterable, PartsSent, ReplyTexts } from './reply-texts.ts';
import { packet, Request } from './request.ts';
import { streamDefaults } from './stream-options.ts';
import { addAbortSignal, whenClosed } from './streams.ts';
import { within } from './timeout.ts';

/** The options of a {@link ReplyTransform}. */
export interface ReplyOptions extends HandleOptions {
  /**
   * Milliseconds after which a handler is given up: its signal is aborted with `ERR_MILLRACE_TIMEOUT`, its request is answered with
   * that, and the next one starts, though it may still be running. What it does then is ignored. Default: none.
   */
  timeout?: number;
  /** Where the replies to requests go that come as plain values: a URL, or what `connect()` gave. Default as for all streams. */
  connection?: string | Connection;
  /** The most bytes that one reply may have; default 16 MiB. In the place of a larger one goes an error. */
  maxBytes?: number;
  /** Whether requesters are told the stack of what a handler has thrown; default false. */
  stack?: boolean;
  /** Destroys the stream when it is aborted. */
  signal?: AbortSignal;
}

/** A request that was answered, and how. Where that was in parts, the value is how many there were. */
export type Answered<T = unknown, R = unknown> =
  | { readonly request: Request<T>; readonly status: 'fulfilled'; readonly value: R }
  | { readonly request: Request<T>; readonly status: 'rejected'; readonly reason: unknown };

type Callback = (error?: Error | null) => void;

const checks = {
  ...handleChecks,
  connection: unchecked,
  maxBytes: integer(1),
  stack: yesOrNo,
  signal: abortSignal,
  contract: contractCheck,
};

const defaults = { ...handleDefaults, maxBytes: streamDefaults.maxBytes, stack: false } as const satisfies ReplyOptions;

/**
 * A Transform that answers requests: it runs a handler on each, `concurrency` at a time, and sends what that returns or throws to
 * its requester. Deliveries of requests are written to it, as a `DeliveryStream` gives them, or requests as plain values.
 *
 * - Handlers are functions by the name of their method, or one function for all methods. A method that none of them has is answered
 *   with `ERR_MILLRACE_NO_METHOD`, a handler whose `timeout` is over with `ERR_MILLRACE_TIMEOUT`, a result that JSON can't say with
 *   `ERR_MILLRACE_INVALID_ITEM`, one beyond `maxBytes` with `ERR_MILLRACE_TOO_LARGE`. Nothing of this
 *   stops the stream.
 * - A handler that returns an async iterable, as a generator does, answers in parts where the requester takes such; elsewhere the answer is
 *   `ERR_MILLRACE_NOT_SUPPORTED`. It is at most 16 parts ahead of who reads them, and its iterator is ended when nobody does any more. A
 *   `timeout` is for each part. Arrays and strings are values.
 * - With the option `contract` a handler gets what the contract makes of a request, and is not called where it refuses that; what it makes
 *   of the handler's result is sent. What it refuses is answered with `ERR_MILLRACE_INVALID_ITEM`.
 * - A delivery is acknowledged in the step that publishes its reply, and a handler that fails is not run again: its requester has been
 *   told, and may ask again. A handler that settles its request itself has the say: no reply is sent, and no part more.
 * - A request whose deadline has passed, or that is cancelled, is acknowledged without a handler; where it takes parts, and another worker has
 *   been at it, it is answered with `ERR_MILLRACE_INTERRUPTED`. The signal of one that is cancelled
 *   while its handler runs is aborted with an `AbortError`, and no reply is sent. (Of a plain value nobody knows its queue, and so
 *   not whether it is cancelled.)
 * - What is no request is rejected, as a plain value dropped; an `'invalid'` event bears an error, whose `item` it is.
 * - Its readable side is a tap, and gives an {@link Answered} for each request that was answered. Where nobody reads it, it holds up
 *   nothing; where somebody does, no handler starts while `concurrency` of them wait to be read.
 * - It takes no request before a handler is free to work on it. It ends when all handlers are over and the broker has answered to all
 *   that was settled.
 * - When it is destroyed the signals of the handlers that run are aborted with `ERR_MILLRACE_CLOSED`, and their deliveries put back; one
 *   that was answered in part is answered with `ERR_MILLRACE_INTERRUPTED`.
 *
 * Where plain values are written its connection closes it, and it emits `'ready'` when the broker answers, and fails with
 * `ERR_MILLRACE_REFUSED` when that refuses replies.
 *
 * @typeParam C the methods, where they are known: an interface of functions, or those of the contract
 */
export class ReplyTransform<C extends Contract<C> = Untyped> extends HandlingTransform {
  readonly #connection: Connection;
  /** @internal */
  protected override readonly handling: Handling;
  readonly #texts: ReplyTexts;
  readonly #destroying = new AbortController();
  readonly #plain: PlainRequests;
  #hasPlain = false;
  readonly #queues: RequestQueue[] = [];
  readonly #timeout: number | undefined;
  /** Whose request came last, and from which queue. */
  #lastConsumer: Consumer | undefined;
  #lastQueue: RequestQueue | undefined;
  /** What waits until its origin is ready. */
  #arriving: unknown;
  #closing: Promise<void> | undefined;

  /**
   * @param handlers by method, of which an object's own properties count, and which must be those of the contract; or one for all
   * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE where handlers or options are wrong;
   *   ERR_MILLRACE_NOT_SUPPORTED where the broker knows no requests; ERR_MILLRACE_CLOSED where the connection is closed
   */
  constructor(
    // biome-ignore lint/suspicious/noExplicitAny: one for all takes what comes
    handlers: NoInfer<Handlers<C>> | RequestHandler<any, unknown>,
    options?: ReplyOptions & ContractOption<C>,
  ) {
    const checked = withDefaults<ReplyOptions & ContractOption<C>, typeof defaults>(options, checks, defaults);
    const { concurrency, timeout, signal, contract } = checked;
    const handler = handlerOf(handlers, contract && methodsOf(contract)) as Handler<never, unknown>;
    const connection = connectionFor(checked.connection);
    requireSupport(connection, 'requests', 'requests');
    super({ objectMode: true, writableHighWaterMark: 1, readableHighWaterMark: concurrency });
    this.#connection = connection;
    this.#texts = new ReplyTexts(checked);
    this.#timeout = timeout;
    this.handling = new Handling(handler, { concurrency, timeout } as HandleOptions, {
      fulfilled: (request, result) => this.#fulfil(request as Request, result),
      failed: (request, error) => this.#fail(request as Request, error),
      follow: (request, result) => this.#follow(request as Request, result),
      hasRoom: () => this.room && !this.#plain.isFull,
    });
    this.#plain = new PlainRequests({
      open: () => this.#open(),
      sent: () => this.handling.next(),
      refused: (error) => this.destroy(error),
    });
    if (signal) addAbortSignal(signal, this);
    // Who listened to 'readable' leaves the stream neither flowing nor paused, and what waits would wait for ever. Node sees to it in a tick.
    this.on('removeListener', () => {
      setImmediate(() => {
        if (this.readableFlowing === null) this.resume();
      });
    });
    this.resume();
  }

  /**
   * Ends the stream, and resolves when it is closed: handlers are over, and their requests answered. What still runs when the time is
   * over is given up. Rejects with the stream's error. Safe to call twice.
   */
  close(options?: CloseOptions): Promise<void> {
    const timeout = closeTimeout(options);
    this.#closing ??= this.#close(timeout);
    return this.#closing;
  }

  /** {@link close}, with its default time limit. */
  override [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  override _transform(chunk: unknown, _encoding: BufferEncoding, callback: Callback): void {
    const part = shareOf(chunk);
    const origin = part ? this.#originOf(part.receipt) : this.#plain;
    if (origin.isReady) this.#take(chunk, origin, callback);
    else this.#takeWhenReady(chunk, origin, callback);
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.handling.giveUp();
    releaseBuffered(this);
    void shareOf(this.#arriving)?.settle({ verb: 'release' });
    for (const queue of this.#queues) queue.close();
    if (!this.#hasPlain) {
      callback(error);
      return;
    }
    const sent = within(this.#plain.close(), CLOSE_TIMEOUT).catch(() => {});
    void sent.then(() => {
      this.#destroying.abort();
      this.#connection[internal].delete(this);
      callback(error);
    });
  }

  /** Opens the connection for the replies to plain values. */
  async #open(): Promise<DriverConnection> {
    const { add, open } = connectionFor(this.#connection)[internal];
    this.#hasPlain = true;
    add(this, 'pushing');
    return await open(this, this.#destroying.signal);
  }

  #originOf(receipt: Receipt): Origin {
    return receipt.consumer === this.#plain ? this.#plain : this.#queueOf(receipt);
  }

  /** The queue that a delivery comes from, which is watched for requests that are cancelled. */
  #queueOf({ consumer, holder }: Receipt): RequestQueue {
    if (this.#lastQueue && this.#lastConsumer === consumer) return this.#lastQueue;
    const { connection } = consumer;
    let queue = this.#queues.find((one) => one.connection === connection && one.name === holder.queue);
    if (!queue) {
      const made = new RequestQueue(connection, holder.queue, (name) => this.#cancel(made, name));
      this.#queues.push(made);
      queue = made;
    }
    this.#lastConsumer = consumer;
    this.#lastQueue = queue;
    return queue;
  }

  #takeWhenReady(chunk: unknown, origin: Origin, callback: Callback): void {
    this.#arriving = chunk;
    const take = (): void => {
      if (this.destroyed) return;
      this.#arriving = undefined;
      this.#take(chunk, origin, callback);
    };
    origin.ready().then(take, callback);
  }

  /** Has a handler work on what was written, if it is a request that somebody waits for. */
  #take(chunk: unknown, origin: Origin, callback: Callback): void {
    const part = shareOf(chunk);
    if (part && !part.isOpen) {
      this.handling.skip(undefined, callback);
      return;
    }
    const value = part ? (chunk as Delivery).value : chunk;
    const request = part?.receipt.held.request;
    const asked = request ? { ...request, parameters: value } : requestIn(value);
    if (!asked) {
      this.#refuse(part ? (chunk as Delivery) : undefined, value);
      this.handling.skip(part?.receipt, callback);
      return;
    }
    if (origin.wants(asked)) {
      this.handling.take(new Request(asked, part ?? this.#plain.shareOf(asked), this.#tell), callback);
      return;
    }
    if (part) this.#leave(asked, part);
    this.handling.skip(part?.receipt, callback);
  }

  /** Settles a request that nobody waits for. But who has had parts from another worker waits beyond the deadline, and is told. */
  #leave({ id, channel, parts }: RequestPacket, part: Share): void {
    if (parts === undefined || part.receipt.held.attempt === 1) {
      void part.ack();
      return;
    }
    const text = this.#texts.ofFailure(id, brokenOff());
    void part.settle({ verb: 'ack', reply: { channel, text } });
  }

  /** Does away with what is no request. */
  #refuse(delivery: Delivery | undefined, item: unknown): void {
    const message = 'not a request: that is an object with the strings id, method and channel';
    const error = new MillraceError('INVALID_ITEM', message, { item });
    void delivery?.reject(error);
    // In a tick of its own: what a listener throws shall not meet anybody else.
    process.nextTick(() => this.emit('invalid', error));
  }

  /** Tells the handler of a request that nobody waits for its answer any more. */
  #cancel(queue: RequestQueue, name: string): void {
    const running = [...this.handling.running()] as Request[];
    for (const request of running) {
      const { receipt } = request[share];
      if (cancelledName(request[packet]) !== name) continue;
      if (receipt.consumer.connection !== queue.connection || request.queue !== queue.name) continue;
      receipt.isUnwanted = true;
      receipt.abort(new DOMException('The request was cancelled', 'AbortError'));
    }
  }

  /** Sends the parts of a reply, where it has some, and the requester takes such. */
  #follow(request: Request, result: unknown): Promise<unknown> | undefined {
    if (!isAsyncIterable(result)) return undefined;
    const { receipt, isOpen } = request[share];
    if (request[packet].parts === undefined || !isOpen) {
      discard(result);
      return undefined;
    }
    const { desk, outbox } = this.#originOf(receipt).parting;
    return new PartRun(request, { desk, outbox, texts: this.#texts, timeout: this.#timeout }).send(result);
  }

  readonly #tell = (request: Request, text: string): void => {
    const { outbox } = this.#originOf(request[share].receipt).parting;
    // What the broker refuses it refuses of the reply, too.
    outbox.send({ channel: request[packet].channel, text }).catch(() => {});
  };

  #fulfil(request: Request, result: unknown): void {
    if (request.isCancelled) {
      void request.ack();
      return;
    }
    let text: string;
    try {
      text = this.#texts.ofResult(request.id, result);
    } catch (error) {
      this.#reject(request, error);
      return;
    }
    answer(request, text);
    const value = result instanceof PartsSent ? result.count : result;
    if (this.#isRead) this.pass({ request, status: 'fulfilled', value });
  }

  #fail(request: Request, error: unknown): void {
    if (request.isCancelled) void request.ack();
    else this.#reject(request, error);
  }

  #reject(request: Request, reason: unknown): void {
    answer(request, this.#texts.ofFailure(request.id, reason));
    if (this.#isRead) this.pass({ request, status: 'rejected', reason });
  }

  /** Whether somebody reads what was answered, or has said that it shall wait. */
  get #isRead(): boolean {
    return this.readableFlowing === false || this.listenerCount('data') > 0 || this.listenerCount('readable') > 0;
  }

  async #close(timeout: number): Promise<void> {
    const closed = whenClosed(this);
    if (!this.destroyed) {
      if (!this.writableEnded) this.end();
      await within(closed, timeout - reserve(timeout)).catch(() => this.destroy());
    }
    await closed;
    if (this.errored) throw this.errored;
  }
}

function answer(request: Request, text: string): void {
  void request[share].settle({ verb: 'ack', reply: { channel: request[packet].channel, text } });
}
