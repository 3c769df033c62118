import { Asker } from './asker.ts';
import { buffersOf, releaseBuffered } from './buffers.ts';
import { type Connection, connectionFor, internal, requireSupport } from './connect.ts';
import type { Validator, Validators } from './contract.ts';
import { type Delivery, type Share, shareOf } from './delivery.ts';
import { MillraceError } from './errors.ts';
import {
  type CloseOptions,
  checkQueueName,
  closeTimeout,
  type Filled,
  integer,
  reserve,
  withDefaults,
  yesOrNo,
} from './options.ts';
import { Pending } from './pending.ts';
import { method, type RequestOptions, requestChecks, requestDefaults, type Terms, termsOf } from './request-options.ts';
import { StreamIterator } from './stream-iterator.ts';
import { type StreamOptions, streamChecks, streamDefaults } from './stream-options.ts';
import { addAbortSignal, Duplex, pushTo, whenClosed } from './streams.ts';
import { within } from './timeout.ts';

/** The options of a {@link RequestDuplex}. Its requests are packets in JSON, so it takes no `codec`. */
export interface DuplexOptions extends Omit<StreamOptions, 'codec'>, RequestOptions {
  /** What is asked for; default `'default'`. */
  method?: string;
  /** How many requests are in flight at most, from 1, those counted that are answered and not yet read; default 64. */
  concurrency?: number;
  /** Whether replies come in the order of their requests, which is the default, or as they are given. */
  ordered?: boolean;
  /** Whether what became of each request comes out, as {@link Settled} has it, so that one that fails does no harm to others. Default false. */
  settled?: boolean;
}

/** What became of a request, where the option `settled` is true. */
export type Settled<Req = unknown, Res = unknown> =
  | { readonly request: Req; readonly status: 'fulfilled'; readonly value: Res }
  | { readonly request: Req; readonly status: 'rejected'; readonly reason: Error };

const { connection, highWaterMark, maxBytes } = streamChecks;

/** The checks of {@link DuplexOptions}. */
export const duplexChecks = {
  connection,
  highWaterMark,
  maxBytes,
  ...requestChecks,
  method,
  concurrency: integer(1),
  ordered: yesOrNo,
  settled: yesOrNo,
};

const defaults = {
  ...requestDefaults,
  maxBytes: streamDefaults.maxBytes,
  highWaterMark: 16,
  method: 'default',
  concurrency: 64,
  ordered: true,
  settled: false,
} as const satisfies DuplexOptions;

type Callback = (error?: Error | null) => void;

/** A request, from its write until its reply is handed out. */
class Question extends Pending {
  /** What was written, and what is asked with. */
  readonly chunk: unknown;
  readonly value: unknown;
  readonly share: Share | undefined;
  readonly #output: Validator | undefined;
  readonly #onSettled: (question: Question) => void;
  /** The one that was asked next. */
  next: Question | undefined = undefined;
  isSettled = false;
  reply: unknown = undefined;
  error: Error | undefined = undefined;

  constructor(
    terms: Terms,
    name: string,
    chunk: unknown,
    output: Validator | undefined,
    onSettled: (question: Question) => void,
  ) {
    super(name, terms);
    this.chunk = chunk;
    this.#output = output;
    this.share = shareOf(chunk);
    this.value = this.share ? (chunk as Delivery).value : chunk;
    this.#onSettled = onSettled;
  }

  /** What its request has failed of counts as an attempt at its delivery, if it is one. */
  blame(reason: Error): void {
    if (this.share) void (this.chunk as Delivery).retry({ reason });
  }

  override fulfilled(data: unknown): void {
    if (!this.#output) {
      this.#answered(data);
      return;
    }
    this.#output.validate(data, 'The reply').then(
      (valid) => this.#answered(valid),
      (error) => this.rejected(error),
    );
  }

  override rejected(error: Error): void {
    this.isSettled = true;
    this.error = error;
    this.#onSettled(this);
  }

  #answered(data: unknown): void {
    this.isSettled = true;
    this.reply = data;
    this.#onSettled(this);
  }

  get outcome(): Settled {
    const request = this.value;
    if (this.error) return { request, status: 'rejected', reason: this.error };
    return { request, status: 'fulfilled', value: this.reply };
  }
}

/**
 * A Duplex that asks: what is written goes as requests to whoever works on a queue, and the replies are read, in the order of their
 * requests unless `ordered` is false.
 *
 * - What is in flight is its backpressure: at most `concurrency` requests, from the write until the reply is read. `highWaterMark`
 *   (default 16) more wait here before `write()` answers false. A write's callback comes when it is asked and there is room for another.
 * - A request that fails destroys the stream with its error, and all others are cancelled. With `settled` it comes out as
 *   {@link Settled}, as those that are answered do, and the stream goes on.
 * - A reply of null or undefined fails with `ERR_MILLRACE_INVALID_ITEM`, unless with `settled` or for a delivery: no object stream could
 *   carry it.
 * - A delivery may be written in the place of a value: it asks with its value, and comes out as `delivery.with(reply)`. It is for
 *   whoever comes behind to settle it. One whose request fails the stream is retried; those that are inside when the stream is destroyed
 *   are put back; one that is not held any more when it is written is left out.
 * - It has finished when all is answered, and ends when all is read. When it is destroyed, what is in flight is cancelled.
 *
 * Events beside a Duplex's: `'ready'` when the broker answers. Fails with
 * - `ERR_MILLRACE_REMOTE`, where the error's `remote` says how whoever worked on it has failed; `ERR_MILLRACE_NO_METHOD`;
 *   `ERR_MILLRACE_DEAD_LETTER`
 * - `ERR_MILLRACE_TIMEOUT`, `ERR_MILLRACE_NO_CONSUMER`, as its options say
 * - `ERR_MILLRACE_INVALID_ITEM`, where JSON can't say a value, `ERR_MILLRACE_TOO_LARGE`, `ERR_MILLRACE_REFUSED`, `ERR_MILLRACE_CLOSED`
 *
 * @typeParam Req of what is written; `write()` stays Node's, which takes anything
 * @typeParam Res of what {@link replies} gives
 */
// biome-ignore lint/suspicious/noExplicitAny: what a user who names no type gets
export class RequestDuplex<Req = any, Res = any> extends Duplex {
  readonly #connection: Connection;
  readonly #queue: string;
  readonly #options: Filled<DuplexOptions, typeof defaults>;
  readonly #terms: Terms;
  readonly #validators: Validators | undefined;
  readonly #asker: Asker;
  /** How many are asked and not handed out, and how many of them are not answered. */
  #inside = 0;
  #unanswered = 0;
  /** Those that are handed out in order. */
  #first: Question | undefined;
  #last: Question | undefined;
  /** Node's callback for the last write: the next one may come. */
  #accept: Callback | undefined;
  #finish: Callback | undefined;
  #closing: Promise<void> | undefined;
  #patience: number | undefined;

  /**
   * @param queue 1 to 128 letters, digits and any of `. _ : / -`
   * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE where name or options are wrong;
   *   ERR_MILLRACE_NOT_SUPPORTED where the broker knows no requests; ERR_MILLRACE_CLOSED where the connection is closed
   */
  constructor(queue: string, options?: DuplexOptions);
  /** @internal */
  constructor(queue: string, options?: DuplexOptions, validators?: Validators);
  constructor(queue: string, options?: DuplexOptions, validators?: Validators) {
    checkQueueName(queue);
    const checked = withDefaults<DuplexOptions, typeof defaults>(options, duplexChecks, defaults);
    const connection = connectionFor(checked.connection);
    requireSupport(connection, 'requests', 'requests');
    if (checked.consumerTimeout !== undefined) requireSupport(connection, 'presence', 'consumerTimeout');
    super({
      objectMode: true,
      writableHighWaterMark: checked.highWaterMark,
      readableHighWaterMark: checked.concurrency,
    });
    const { signal, ...terms } = checked;
    this.#connection = connection;
    this.#queue = queue;
    this.#options = checked;
    this.#terms = termsOf(terms);
    this.#validators = validators;
    this.#asker = new Asker(connection, queue, { maxBytes: checked.maxBytes });
    connection[internal].add(this, 'pushing');
    if (signal) addAbortSignal(signal, this);
  }

  /** The replies, to be read by `for await`: as the stream's own iterator, but typed. Leaving the loop destroys the stream. */
  replies(): AsyncIterable<Res> {
    return new StreamIterator<Res>(this);
  }

  /**
   * Ends the stream and resolves when all is answered, though it may not be read yet. When the time is over the stream is destroyed
   * with `ERR_MILLRACE_CLOSED`. Rejects with the stream's error. Safe to call twice.
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

  /** As Node's, but for a destroyed stream: it gives nothing any more. */
  // biome-ignore lint/suspicious/noExplicitAny: as Node has it
  override read(size?: number): any {
    if (this.destroyed) return null;
    const chunk: unknown = super.read(size);
    if (chunk !== null) this.#acceptMore();
    return chunk;
  }

  override _construct(callback: Callback): void {
    this.#asker.open(this).then(() => callback(), callback);
  }

  override _write(chunk: Req | Delivery<Req>, _encoding: BufferEncoding, callback: Callback): void {
    const share = shareOf(chunk);
    // Lost or put back on its way here: others work on it.
    if (share && !share.isOpen) {
      callback();
      return;
    }
    const question = new Question(this.#terms, this.#options.method, chunk, this.#validators?.output, this.#onSettled);
    const failure = this.#ask(question);
    if (failure && !this.#options.settled) {
      question.blame(failure);
      callback(failure);
      return;
    }
    this.#accept = callback;
    if (failure) question.rejected(failure);
    else this.#acceptMore();
  }

  override _final(callback: Callback): void {
    this.#finish = callback;
    this.#checkAnswered();
  }

  /** Replies are handed out as they come: there are never more of them than requests were let in. */
  override _read(): void {}

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    const why = error ?? this.#closedError();
    this.#release();
    this.#letGo(why).then(() => callback(error));
    this.#tellWriters(why);
  }

  /** Asks a question; gives the reason why it can't be asked. */
  #ask(question: Question): Error | undefined {
    this.#inside += 1;
    this.#unanswered += 1;
    if (this.#options.ordered) this.#append(question);
    try {
      if (this.#validators) this.#asker.askValid(question, question.value, this.#validators.input);
      else this.#asker.ask(question, question.value);
      return undefined;
    } catch (error) {
      return error as Error;
    }
  }

  #append(question: Question): void {
    if (this.#last) this.#last.next = question;
    else this.#first = question;
    this.#last = question;
  }

  /** Lets the next request come, if there is room for it. */
  #acceptMore(): void {
    if (!this.#accept || this.#inside + this.readableLength >= this.#options.concurrency) return;
    const accept = this.#accept;
    this.#accept = undefined;
    accept();
  }

  readonly #onSettled = (question: Question): void => {
    this.#unanswered -= 1;
    const failure = this.#failureOf(question);
    if (failure && !this.destroyed) {
      question.blame(failure);
      this.destroy(failure);
      return;
    }
    if (this.destroyed) {
      void question.share?.settle({ verb: 'release' });
      return;
    }
    if (this.#options.ordered) this.#handOutInOrder();
    else this.#handOut(question);
    this.#acceptMore();
    this.#checkAnswered();
  };

  /** What the stream fails with, because a request was answered so. */
  #failureOf({ error, reply, share, value }: Question): Error | undefined {
    if (this.#options.settled) return undefined;
    if (error) return error;
    if (share || (reply !== null && reply !== undefined)) return undefined;
    const what = `the reply to the request "${this.#options.method}" to queue "${this.#queue}" is ${reply}`;
    return new MillraceError('INVALID_ITEM', `Invalid item: ${what}, which no object stream can carry`, {
      item: value,
    });
  }

  #handOutInOrder(): void {
    for (let first = this.#first; first?.isSettled && !this.destroyed; first = this.#first) {
      this.#first = first.next;
      if (!this.#first) this.#last = undefined;
      // Who is let go of holds on to nothing: else the garbage collector would take a chain of them for alive.
      first.next = undefined;
      this.#handOut(first);
    }
  }

  #handOut(question: Question): void {
    this.#inside -= 1;
    const reply = this.#options.settled ? question.outcome : question.reply;
    pushTo(this, question.share ? (question.chunk as Delivery).with(reply) : reply);
  }

  /** Ends the readable side, and finishes, when nothing more is to be asked and all is answered. */
  #checkAnswered(): void {
    if (!this.#finish || this.#unanswered > 0 || this.destroyed) return;
    const finish = this.#finish;
    this.#finish = undefined;
    this.push(null);
    this.#letGo(this.#closedError()).then(() => finish());
  }

  /** Puts back the deliveries that are inside and not pending. Those that are follow as they are given up. */
  #release(): void {
    for (let question = this.#first; question; question = question.next) {
      void question.share?.settle({ verb: 'release' });
    }
    releaseBuffered(this);
  }

  /** Calls back for the writes that were not let in. Node does so behind one that was, and not at all where there is none. */
  #tellWriters(why: Error): void {
    const { writableBuffer = [] } = buffersOf(this);
    if (this.#accept) this.#accept();
    else for (const { callback } of writableBuffer) process.nextTick(callback, why);
  }

  /** Needs the connection no more. */
  async #letGo(why: Error): Promise<void> {
    await this.#asker.close(why, this.#patience);
    this.#connection[internal].delete(this);
  }

  async #close(timeout: number): Promise<void> {
    const closed = whenClosed(this);
    // Whoever destroyed it has been told, or knows.
    if (this.destroyed) return closed;
    const finished = this.writableFinished || new Promise((resolve) => this.once('finish', resolve));
    if (!this.writableEnded) this.end();
    this.#patience = reserve(timeout);
    await within(Promise.race([finished, closed]), timeout - this.#patience).catch(() => {
      this.destroy(this.#closedError());
    });
    if (this.destroyed) await closed;
    if (this.errored) throw this.errored;
  }

  #closedError(): MillraceError {
    return new MillraceError(
      'CLOSED',
      `The stream of requests to queue "${this.#queue}" was closed before it was answered`,
    );
  }
}
