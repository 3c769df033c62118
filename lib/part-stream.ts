import { forgetAbort, onAbort } from './abort-listeners.ts';
import type { Validator } from './contract.ts';
import { MillraceError } from './errors.ts';
import type { PartPacket, ReplyPacket } from './packet.ts';
import { abortErrorOf, Pending, remoteErrorIn, type Terms } from './requests.ts';
import { StreamIterator } from './stream-iterator.ts';
import { pushTo, Readable } from './streams.ts';

const INTERRUPTED = 'ERR_MILLRACE_INTERRUPTED' satisfies MillraceError['code'];

/** How far the handler that sends parts may be ahead of who reads them. */
export const WINDOW = 16;

/** How much more must be taken before that is said. */
const STEP = WINDOW / 2;

/** How often who sends parts is told that somebody waits for them still, in milliseconds. */
const REPEAT = 1000;

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

/** The terms of a request that is answered in parts. */
export interface PartTerms extends Terms {
  readonly idleTimeout: number;
}

/** A request whose reply comes in parts. A reply in one is taken for the only part. */
class PartRequest extends Pending {
  declare readonly terms: PartTerms;
  readonly #stream: PartStream;
  /** Which run of a handler the parts come from, and where it hears what is said to it. Nothing before the first. */
  #run: string | undefined;
  #channel: string | undefined;
  #repeating: NodeJS.Timeout | undefined;
  #received = 0;
  #taken = 0;
  #said = WINDOW;
  #isInterrupted = false;

  constructor(method: string, terms: PartTerms, stream: PartStream) {
    super(method, terms);
    this.#stream = stream;
  }

  override get parts(): number {
    return WINDOW;
  }

  override part({ run, part, data, channel }: PartPacket): boolean {
    if (part === 0 && this.#run === undefined) this.#begin(run, channel);
    if (run === this.#run && part < this.#received) return false;
    if (run !== this.#run || part > this.#received) {
      this.#interrupt();
      return true;
    }
    this.#rest();
    this.#received += 1;
    this.#stream.add(data);
    return true;
  }

  override answered(reply: ReplyPacket): void {
    // It may come again: nobody else shall begin on it.
    if (!reply.success && remoteErrorIn(reply.error).code === INTERRUPTED) this.#interrupt();
    else super.answered(reply);
  }

  override fulfilled(data: unknown, parts: number | undefined): void {
    const isWhole = (parts ?? 0) === this.#received;
    if (isWhole && parts === undefined) this.#stream.add(data);
    this.#settle(isWhole ? undefined : this.#interruption());
  }

  override failed(error: Error): void {
    this.#settle(error);
  }

  override rejected(error: Error): void {
    if (this.#isInterrupted) this.failed(error);
    else this.#stream.destroy(error);
  }

  /** Also when all parts have come, and are not read. */
  override abort(reason: unknown): void {
    this.#stream.destroy(abortErrorOf(reason));
  }

  /** Nobody reads the parts any more. */
  drop(): void {
    clearInterval(this.#repeating);
    if (this.terms.signal) forgetAbort(this.terms.signal, this);
    this.asker?.giveUp(this, abortErrorOf(undefined));
  }

  /** A part has been asked for and handed out. */
  taken(): void {
    this.#taken += 1;
    // Node has one of them.
    if (this.#taken - 1 + WINDOW - this.#said >= STEP) this.#say();
  }

  /** A part is asked for and has not come. Before the first one its time runs since the request was made. */
  wait(): void {
    if (this.place < 0 || this.#run === undefined) return;
    this.#rest();
    this.timer = setTimeout(() => this.asker?.giveUp(this, this.#idleError()), this.terms.idleTimeout);
  }

  /** Ends, or fails, behind what has come. */
  #settle(error: Error | undefined): void {
    clearInterval(this.#repeating);
    if (this.terms.signal) onAbort(this.terms.signal, this);
    this.#stream.finish(error);
  }

  #rest(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  #begin(run: string, channel: string | undefined): void {
    this.#run = run;
    this.#channel = channel;
    this.#repeating = setInterval(() => this.#say(), REPEAT).unref();
    this.#say();
  }

  #say(): void {
    if (this.place < 0 || this.#run === undefined || typeof this.#channel !== 'string') return;
    this.#said = Math.max(this.#said, this.#taken - 1 + WINDOW);
    this.asker?.say(this, this.#channel, { run: this.#run, credit: this.#said });
  }

  #interrupt(): void {
    this.#isInterrupted = true;
    this.asker?.giveUp(this, this.#interruption());
  }

  #interruption(): MillraceError {
    const message = `The reply to the request "${this.method}" has broken off after ${this.#received} parts`;
    return new MillraceError('INTERRUPTED', message);
  }

  #idleError(): MillraceError {
    const message = `No part of the reply to the request "${this.method}" came within ${this.terms.idleTimeout} ms`;
    return new MillraceError('TIMEOUT', message);
  }
}
