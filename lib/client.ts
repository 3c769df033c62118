import { Asker } from './asker.ts';
import { type ConnectedStream, type Connection, connectionFor, internal, requireSupport } from './connect.ts';
import {
  type Contract,
  type ContractOption,
  contractCheck,
  type In,
  type Many,
  type Methods,
  methodsOf,
  type One,
  type Out,
  type Part,
  type Untyped,
  type Validator,
} from './contract.ts';
import { MillraceError } from './errors.ts';
import {
  type CloseOptions,
  checkQueueName,
  type Filled,
  integer,
  LONGEST_TIMER,
  reserve,
  withDefaults,
} from './options.ts';
import type { PartTerms } from './part-request.ts';
import { PartStream } from './part-stream.ts';
import { Pending } from './pending.ts';
import { type DuplexOptions, duplexChecks, RequestDuplex, type Settled } from './request-duplex.ts';
import { abortErrorOf } from './request-errors.ts';
import {
  method as methodCheck,
  type RequestOptions,
  requestChecks,
  requestDefaults,
  type Terms,
  termsOf,
} from './request-options.ts';
import { type StreamOptions, streamChecks, streamDefaults } from './stream-options.ts';
import { within } from './timeout.ts';

/** How a request is made that is answered in parts: {@link Client.requestStream}. Its `timeout` is that until the first part. */
export interface StreamRequestOptions extends RequestOptions {
  /** Milliseconds, at least 1, that the next part may take, while it is waited for; default 30,000. Then it fails with `ERR_MILLRACE_TIMEOUT`. */
  idleTimeout?: number;
}

/** The options of a {@link Client}. Those of a request are the defaults of its requests, each of which may have others. */
export interface ClientOptions extends Omit<StreamOptions, 'codec' | 'highWaterMark'>, StreamRequestOptions {
  /** Closes the client when it is aborted. */
  signal?: AbortSignal;
}

/** The options of {@link Client.duplex}: the connection is the client's, the method is named before them. */
export type ClientDuplexOptions = Omit<DuplexOptions, 'connection' | 'method'>;

const checks = {
  connection: streamChecks.connection,
  maxBytes: streamChecks.maxBytes,
  ...requestChecks,
  idleTimeout: integer(1, LONGEST_TIMER),
  contract: contractCheck,
};

const streamRequestChecks = { ...requestChecks, idleTimeout: checks.idleTimeout };

const streamRequestDefaults = { ...requestDefaults, idleTimeout: 30_000 } as const satisfies StreamRequestOptions;

const defaults = { ...streamRequestDefaults, maxBytes: streamDefaults.maxBytes } as const satisfies ClientOptions;

const { connection: _connection, method: _method, ...clientDuplexChecks } = duplexChecks;

/** For how long a client without requests stays ready for the next one, in milliseconds. */
const LINGER = 250;

/** A request that a promise stands for. */
class Promised extends Pending {
  readonly #output: Validator | undefined;
  readonly #resolve: (data: never) => void;
  readonly #reject: (error: Error) => void;

  constructor(
    terms: Terms,
    name: string,
    output: Validator | undefined,
    resolve: (data: never) => void,
    reject: (error: Error) => void,
  ) {
    super(name, terms);
    this.#output = output;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  override fulfilled(data: unknown): void {
    this.#resolve((this.#output ? this.#output.validate(data, 'The reply') : data) as never);
  }

  override rejected(error: Error): void {
    this.#reject(error);
  }
}

/**
 * Asks whoever works on a queue: each request is a promise of its reply, and one that fails fails alone.
 *
 * A client keeps the process alive, and the broker's connection open, while requests are pending, and for a moment behind the last one.
 * It is closed with its connection, which waits for its requests.
 *
 * With the option `contract` what is asked with, and the replies, are validated by that. A value is sent as it was given; of a reply the
 * promise gives what the contract makes of it.
 *
 * @typeParam C the methods that can be asked for, as an interface of functions of one value, or those of the contract; by default any
 */
export class Client<C extends Contract<C> = Untyped> implements AsyncDisposable {
  readonly #connection: Connection;
  readonly #queue: string;
  readonly #options: Filled<ClientOptions, typeof defaults>;
  readonly #requests: Filled<RequestOptions, typeof requestDefaults>;
  readonly #terms: Terms;
  readonly #methods: Methods | undefined;
  /** As the connection sees it. */
  readonly #stream: ConnectedStream;
  /** Who makes the requests. None while there are none. */
  #asker: Asker | undefined;
  /** The asker before it, on its way to its end. */
  #resting: Promise<void> | undefined;
  #linger: NodeJS.Timeout | undefined;
  #isClosed = false;
  #closing: Promise<void> | undefined;
  /** Called when no request is pending. */
  #drained: (() => void) | undefined;

  /**
   * @param queue 1 to 128 letters, digits and any of `. _ : / -`
   * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE where name or options are wrong;
   *   ERR_MILLRACE_NOT_SUPPORTED where the broker knows no requests; ERR_MILLRACE_CLOSED where the connection is closed
   */
  constructor(queue: string, options?: ClientOptions & ContractOption<C>) {
    checkQueueName(queue);
    const checked = withDefaults<ClientOptions & ContractOption<C>, typeof defaults>(options, checks, defaults);
    this.#connection = connectionFor(checked.connection);
    requireSupport(this.#connection, 'requests', 'requests');
    const { connection, maxBytes, signal, contract, idleTimeout, ...requests } = checked;
    this.#checkInspection(requests);
    this.#queue = queue;
    this.#options = checked;
    this.#requests = requests;
    this.#terms = termsOf(requests);
    this.#methods = contract && methodsOf(contract);
    this.#stream = this.#asStream();
    this.#connection[internal].add(this.#stream, 'pushing');
    if (signal?.aborted) this.#abort();
    else signal?.addEventListener('abort', this.#abort, { once: true });
  }

  /**
   * Asks for a method, and resolves with its reply. Rejects with
   * - `ERR_MILLRACE_REMOTE` when whoever worked on it has failed: the error's `remote` says how
   * - `ERR_MILLRACE_NO_METHOD`, `ERR_MILLRACE_DEAD_LETTER`, as they say; the first at once where the contract has no such method
   * - `ERR_MILLRACE_NOT_SUPPORTED`, where by the contract it answers in several parts
   * - `ERR_MILLRACE_TIMEOUT`, `ERR_MILLRACE_NO_CONSUMER`, as its options say
   * - the reason of its `signal`, or an AbortError whose cause that is where it is no error
   * - `ERR_MILLRACE_INVALID_ITEM`, where JSON can't say the value, or the contract refuses it, which then is not sent; or the reply
   * - `ERR_MILLRACE_TOO_LARGE`, `ERR_MILLRACE_REFUSED`
   * - `ERR_MILLRACE_CLOSED` when the client is closed, or its connection
   *
   * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE where arguments are wrong: by the promise
   */
  request<M extends One<C>>(method: M, value: In<C[M]>, options?: RequestOptions): Promise<Out<C[M]>> {
    return new Promise((resolve, reject) => {
      methodCheck(method, 'method');
      const terms = options === undefined ? this.#terms : this.#termsOf(options);
      if (terms.signal?.aborted) throw abortErrorOf(terms.signal.reason);
      if (this.#isClosed) throw this.#closedError();
      const validators = this.#methods?.one(method);
      this.#asker ??= this.#newAsker();
      const pending = new Promised(terms, method, validators?.output, resolve, reject);
      if (validators) this.#asker.askValid(pending, value, validators.input);
      else this.#asker.ask(pending, value);
    });
  }

  /**
   * Asks for a method that answers in parts, and gives the stream of them. One that answers at once is taken for the only part. The stream
   * fails as {@link request} rejects, and with `ERR_MILLRACE_INTERRUPTED`, where it may be asked again, when whoever answers has gone after
   * the first part; if that was before, another begins.
   *
   * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE where arguments are wrong; ERR_MILLRACE_CLOSED;
   *   ERR_MILLRACE_NO_METHOD, and ERR_MILLRACE_NOT_SUPPORTED where by the contract it answers at once
   */
  requestStream<M extends Many<C>>(method: M, value: In<C[M]>, options?: StreamRequestOptions): PartStream<Part<C[M]>> {
    methodCheck(method, 'method');
    const terms = this.#partTermsOf(options);
    if (this.#isClosed) throw this.#closedError();
    const validators = this.#methods?.many(method);
    const stream = new PartStream<Part<C[M]>>(method, terms, validators?.parts);
    try {
      if (terms.signal?.aborted) throw abortErrorOf(terms.signal.reason);
      this.#asker ??= this.#newAsker();
      if (validators) this.#asker.askValid(stream.request, value, validators.input);
      else this.#asker.ask(stream.request, value);
    } catch (error) {
      stream.destroy(error as Error);
    }
    return stream;
  }

  /**
   * A {@link RequestDuplex} for one method, on the connection of the client and with its defaults. It is a stream of its own, which does
   * not end with the client. What is written, and replied, is validated by the client's contract: what that refuses fails with
   * `ERR_MILLRACE_INVALID_ITEM`.
   *
   * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE where arguments are wrong; ERR_MILLRACE_CLOSED;
   *   ERR_MILLRACE_NO_METHOD, ERR_MILLRACE_NOT_SUPPORTED as {@link request} rejects
   */
  duplex<M extends One<C>>(
    method: M,
    options: ClientDuplexOptions & { settled: true },
  ): RequestDuplex<In<C[M]>, Settled<In<C[M]>, Out<C[M]>>>;
  duplex<M extends One<C>>(method: M, options?: ClientDuplexOptions): RequestDuplex<In<C[M]>, Out<C[M]>>;
  duplex(method: string, options?: ClientDuplexOptions): RequestDuplex {
    if (this.#isClosed) throw this.#closedError();
    methodCheck(method, 'method');
    const own = withDefaults<ClientDuplexOptions, object>(options, clientDuplexChecks, {});
    const { maxBytes } = this.#options;
    const all = { maxBytes, ...this.#requests, ...own, method, connection: this.#connection };
    return new RequestDuplex(this.#queue, all, this.#methods?.one(method));
  }

  /** Rejects what is pending with `ERR_MILLRACE_CLOSED`, has it cancelled, and resolves when that is done. Safe to call twice. */
  close(): Promise<void> {
    return this.#end(undefined);
  }

  /** {@link close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  readonly #abort = (): void => {
    void this.#end(undefined);
  };

  #end(patience: number | undefined): Promise<void> {
    this.#closing ??= this.#close(patience);
    return this.#closing;
  }

  async #close(patience: number | undefined): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#linger);
    const { signal } = this.#options;
    signal?.removeEventListener('abort', this.#abort);
    const why = this.#closedError(signal?.aborted ? signal.reason : undefined);
    await Promise.all([this.#resting, this.#asker?.close(why, patience)]);
    this.#connection[internal].delete(this.#stream);
  }

  /** Takes no more requests, and gives those that are pending their time. */
  async #drain(timeout: number): Promise<void> {
    this.#isClosed = true;
    const patience = reserve(timeout);
    if (this.#asker && this.#asker.size > 0) {
      const drained = new Promise<void>((resolve) => {
        this.#drained = resolve;
      });
      await within(drained, timeout - patience).catch(() => {});
    }
    await this.#end(patience);
  }

  #newAsker(): Asker {
    const { maxBytes } = this.#options;
    const asker = new Asker(this.#connection, this.#queue, { maxBytes, onIdle: () => this.#idle() });
    asker.open(this.#stream).catch((error) => {
      if (this.#asker === asker) this.#fail(error);
    });
    return asker;
  }

  /** Nothing can be asked as things are: what is asked later may be. */
  #fail(error: Error): void {
    const asker = this.#asker;
    this.#asker = undefined;
    if (asker) this.#resting = asker.close(error);
  }

  #idle(): void {
    this.#drained?.();
    if (this.#isClosed) return;
    if (this.#linger) this.#linger.refresh();
    else this.#linger = setTimeout(() => this.#rest(), LINGER).unref();
  }

  /** Lets go of the connection if there are no requests. */
  #rest(): void {
    if (this.#asker?.size !== 0) return;
    this.#resting = this.#asker.close(this.#closedError());
    this.#asker = undefined;
  }

  #termsOf(options: RequestOptions): Terms {
    const own = withDefaults<RequestOptions, typeof requestDefaults>(options, requestChecks, this.#requests as never);
    this.#checkInspection(own);
    return termsOf(own);
  }

  #partTermsOf(options: StreamRequestOptions | undefined): PartTerms {
    const { idleTimeout } = this.#options;
    const own = withDefaults<StreamRequestOptions, typeof streamRequestDefaults>(options, streamRequestChecks, {
      ...this.#requests,
      idleTimeout,
    } as never);
    this.#checkInspection(own);
    return { ...termsOf(own), idleTimeout: own.idleTimeout };
  }

  #checkInspection({ consumerTimeout }: RequestOptions): void {
    if (consumerTimeout !== undefined) requireSupport(this.#connection, 'presence', 'consumerTimeout');
  }

  #asStream(): ConnectedStream {
    const isDestroyed = (): boolean => this.#isClosed;
    return {
      get destroyed() {
        return isDestroyed();
      },
      close: ({ timeout }: Required<CloseOptions>) => this.#drain(timeout),
      destroy: (error) => this.#fail(error),
      emit: () => false,
    };
  }

  #closedError(reason?: unknown): MillraceError {
    const message = `The client of queue "${this.#queue}" is closed`;
    return new MillraceError('CLOSED', message, reason === undefined ? {} : { cause: reason });
  }
}
