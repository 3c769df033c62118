import { forgetAbort, onAbort } from './abort-listeners.ts';
import { MillraceError } from './errors.ts';
import type { PartPacket, ReplyPacket } from './packet.ts';
import { Pending } from './pending.ts';
import { abortErrorOf, remoteErrorIn } from './request-errors.ts';
import type { Terms } from './request-options.ts';

const INTERRUPTED = 'ERR_MILLRACE_INTERRUPTED' satisfies MillraceError['code'];

/** How far the handler that sends parts may be ahead of who reads them. */
const WINDOW = 16;

/** How much more must be taken before that is said. */
const STEP = WINDOW / 2;

/** How often who sends parts is told that somebody waits for them still, in milliseconds. */
const REPEAT = 1000;

/** The terms of a request that is answered in parts. */
export interface PartTerms extends Terms {
  readonly idleTimeout: number;
}

/** Where the parts of a reply go. */
export interface PartSink {
  /** Takes a part. */
  add(part: unknown): void;
  /** Ends, or fails, behind the parts that have come. */
  finish(error?: Error): void;
  /** Fails at once. */
  destroy(error: Error): void;
}

/** A request whose reply comes in parts. A reply in one is taken for the only part. */
export class PartRequest extends Pending {
  declare readonly terms: PartTerms;
  readonly #stream: PartSink;
  /** Which run of a handler the parts come from, and where it hears what is said to it. Nothing before the first. */
  #run: string | undefined;
  #channel: string | undefined;
  #repeating: NodeJS.Timeout | undefined;
  #received = 0;
  #taken = 0;
  #said = WINDOW;
  #isInterrupted = false;

  constructor(method: string, terms: PartTerms, stream: PartSink) {
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
