import type { Validator } from './contract.ts';
import { MillraceError } from './errors.ts';
import { PartRequest, type PartTerms } from './part-request.ts';
import type { Pending } from './pending.ts';
import { StreamIterator } from './stream-iterator.ts';
import { pushTo, Readable } from './streams.ts';

/**
 * The parts of a reply, in order: what {@link Client.requestStream} gives. The handler at the other end is at most 16 parts ahead of who
 * reads, and stops where nobody does. It ends behind the last part; it fails as a request does, and with `ERR_MILLRACE_INTERRUPTED` when
 * whoever answered has gone after the first part. Who destroys it, or leaves its loop, ends the handler's iterator.
 *
 * @typeParam P of a part
 */
export class PartStream<P = unknown> extends Readable {
  readonly #validator: Validator | undefined;
  readonly #request: PartRequest;
  /** What has come and is not asked for yet. */
  readonly #parts: unknown[] = [];
  /** Whether Node waits for a part. */
  #isAsked = false;
  /** Behind the last part: the end, or a failure. */
  #end: { readonly error?: Error } | undefined;

  /** @internal */
  constructor(method: string, terms: PartTerms, validator: Validator | undefined) {
    super({ objectMode: true, highWaterMark: 1 });
    this.#validator = validator;
    this.#request = new PartRequest(method, terms, this);
  }

  /** As Node's own, and faster. */
  override [Symbol.asyncIterator](): NodeJS.AsyncIterator<P> {
    return new StreamIterator<P>(this) as NodeJS.AsyncIterator<P>;
  }

  /** @internal */
  get request(): Pending {
    return this.#request;
  }

  /**
   * Takes a part.
   *
   * @internal
   */
  add(part: unknown): void {
    this.#parts.push(part);
    if (this.#isAsked) this.#give();
  }

  /**
   * Ends, or fails, behind the parts that have come.
   *
   * @internal
   */
  finish(error?: Error): void {
    this.#end ??= error ? { error } : {};
    if (this.#isAsked) this.#give();
  }

  override _read(): void {
    this.#isAsked = true;
    this.#give();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#parts.length = 0;
    this.#request.drop();
    callback(error);
  }

  #give(): void {
    if (this.#parts.length > 0) {
      this.#isAsked = false;
      this.#pass(this.#parts.shift());
      this.#request.taken();
    } else if (this.#end?.error) {
      const { error } = this.#end;
      // In a tick: Node may be about to hand out the part before.
      process.nextTick(() => this.destroy(error));
    } else if (this.#end) {
      pushTo(this, null);
    } else {
      this.#request.wait();
    }
  }

  #pass(part: unknown): void {
    if (!this.#validator) {
      this.#push(part);
      return;
    }
    this.#validator.validate(part, 'A part of the reply').then(
      (valid) => this.#push(valid),
      (error) => this.destroy(error),
    );
  }

  #push(part: unknown): void {
    if (part !== null && part !== undefined) {
      pushTo(this, part);
      return;
    }
    const what = `the reply to the request "${this.#request.method}" is ${part}`;
    this.destroy(new MillraceError('INVALID_ITEM', `Invalid item: ${what}, which no object stream can carry`));
  }
}
