import { Delivery, type Share, share } from './delivery.ts';
import { MillraceError } from './errors.ts';
import { integer, LONGEST_TIMER } from './options.ts';
import { progressText, type RequestPacket } from './packet.ts';

const NONE: Readonly<Record<string, string>> = Object.freeze({});

/** Tells the requester something beside the reply. */
export type Tell = (request: Request, text: string) => void;

const count = integer(0);

/** For the streams alone: the packet of a request. */
export const packet: unique symbol = Symbol('millrace.packet');

/**
 * A delivery that somebody waits for an answer to; also the context of the handler that works on it. Its `value` is what was asked
 * with. What the handler returns or throws is the answer.
 *
 * The verbs are the delivery's, and who uses one has the say: `ack()` is the end of the request without an answer, `retry()` and
 * `release()` have it delivered again, to be answered then; `reject()` makes it a dead letter, which the requester is told.
 *
 * @typeParam T of its value
 */
export class Request<out T = unknown> extends Delivery<T> {
  /** @internal */
  readonly [packet]: RequestPacket;
  #headers: Readonly<Record<string, string>> | undefined;

  readonly #tell: Tell;

  /** @internal */
  constructor(of: RequestPacket, share: Share, tell: Tell) {
    super(of.parameters as T, share);
    this[packet] = of;
    this.#tell = tell;
  }

  /**
   * The same with other parameters.
   *
   * @internal
   */
  asking<U>(parameters: U): Request<U> {
    return new Request<U>({ ...this[packet], parameters }, this[share], this.#tell);
  }

  /**
   * Tells the requester how far the work is, if it listens: by its option `onProgress`. That it is heard is not certain.
   *
   * @param done how much is done, an integer from 0
   * @param total of how much, likewise
   * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE
   */
  progress(done: number, total: number): void {
    count(done, 'done');
    count(total, 'total');
    if (this[share].isOpen && !this.isCancelled) this.#tell(this, progressText(this.id, done, total));
  }

  /** What its requester calls it, and the reply bears. */
  get id(): string {
    return this[packet].id;
  }

  /** What is asked for. */
  get method(): string {
    return this[packet].method;
  }

  /**
   * From when on nobody waits for the answer: milliseconds since 1970 by the broker's clock; infinity where that was not said. Who reads
   * an answer in parts puts it off.
   */
  get deadline(): number {
    return this[share].receipt.deadline ?? this[packet].deadline ?? Number.POSITIVE_INFINITY;
  }

  /**
   * Whether nobody waits for the answer any more.
   *
   * @internal
   */
  get isCancelled(): boolean {
    return this[share].receipt.isUnwanted;
  }

  /** As a delivery's; aborted, too, when the request is cancelled, and with `ERR_MILLRACE_TIMEOUT` when its deadline passes. */
  override get signal(): AbortSignal {
    // Only for who looks at it: a timer for each request would cost more than most of them do.
    this.#awaitDeadline();
    return this[share].receipt.signal;
  }

  /**
   * Says that somebody waits for the answer until another time.
   *
   * @internal
   */
  putOff(deadline: number): void {
    this[share].receipt.deadline = deadline;
    this.#awaitDeadline();
  }

  get #left(): number {
    return this.deadline - this[share].receipt.consumer.connection.now();
  }

  /** One timer for all who look at the signal. Where the deadline is put off it rings too soon, and is set again. */
  #awaitDeadline(): void {
    const { receipt } = this[share];
    if (receipt.timer || !receipt.isHeld) return;
    const left = this.#left;
    if (left <= LONGEST_TIMER) receipt.timer = setTimeout(() => this.#expire(), Math.max(1, left)).unref();
  }

  #expire(): void {
    const { receipt } = this[share];
    if (!receipt.isHeld) return;
    receipt.timer = undefined;
    if (this.#left > 0) {
      this.#awaitDeadline();
      return;
    }
    receipt.isUnwanted = true;
    receipt.abort(new MillraceError('TIMEOUT', 'The deadline of the request has passed'));
  }

  /** What the requester has added, frozen; empty where it was nothing. */
  get headers(): Readonly<Record<string, string>> {
    const { headers } = this[packet];
    this.#headers ??= headers ? Object.freeze({ ...headers }) : NONE;
    return this.#headers;
  }
}
