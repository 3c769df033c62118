import { share } from './delivery.ts';
import type { Desk } from './desk.ts';
import { MillraceError } from './errors.ts';
import { lateError } from './handling.ts';
import type { Outbox } from './outbox.ts';
import type { CreditPacket } from './packet.ts';
import { PartsSent, type ReplyTexts } from './reply-texts.ts';
import { packet, type Request } from './request.ts';

/** What a {@link PartRun} needs of its stream. */
export interface PartRunOptions {
  /** Where it hears how much is taken. */
  readonly desk: Desk;
  readonly outbox: Outbox;
  readonly texts: ReplyTexts;
  /** Milliseconds within which the handler is to give each part. */
  readonly timeout: number | undefined;
}

/**
 * Sends the parts that a handler gives: it asks for no more than the requester takes, and for none when nobody waits any more. What is
 * sent is in the requester's mailbox, so each part comes, once and in order.
 */
export class PartRun {
  readonly #request: Request;
  readonly #options: PartRunOptions;
  readonly #name: string;
  #credit: number;
  #count = 0;
  #sent: Promise<void> = Promise.resolve();
  /** Called when there is more credit. */
  #wake: (() => void) | undefined;
  /** Ends what is waited for. */
  #interrupt: ((reason: unknown) => void) | undefined;
  #stopped: { readonly reason: unknown } | undefined;

  constructor(request: Request, options: PartRunOptions) {
    this.#request = request;
    this.#options = options;
    this.#credit = Math.max(1, request[packet].parts ?? 0);
    this.#name = options.desk.begin(this);
  }

  /** Resolves when all parts are sent. Rejects with what the handler throws, and with the reason of the request's signal. */
  async send(parts: AsyncIterable<unknown>): Promise<PartsSent> {
    const { signal } = this.#request;
    const abort = (): void => this.#stop(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    try {
      await this.#sendAll(parts);
      return new PartsSent(this.#count);
    } catch (error) {
      this.#breakOff();
      throw error;
    } finally {
      signal.removeEventListener('abort', abort);
      this.#options.desk.end(this.#name);
    }
  }

  credit({ credit, deadline }: CreditPacket): void {
    this.#request.putOff(deadline);
    if (credit <= this.#credit) return;
    this.#credit = credit;
    this.#wake?.();
  }

  async #sendAll(parts: AsyncIterable<unknown>): Promise<void> {
    const iterator = parts[Symbol.asyncIterator]();
    let isDone = false;
    try {
      while (!isDone) {
        if (this.#count >= this.#credit) await this.#more();
        const { done, value } = await this.#next(iterator);
        if (done) isDone = true;
        else if (this.#request[share].isOpen) this.#post(value);
        else await this.#leave();
      }
    } catch (error) {
      discard(parts, iterator);
      // What came before the failure is to be had before it.
      if (this.#request[share].isOpen && !this.#request.isCancelled) await this.#sent.catch(() => {});
      throw error;
    }
    await this.#sent;
  }

  /** Resolves when the requester takes more. */
  #more(): Promise<void> {
    return this.#unlessStopped((resolve) => {
      this.#wake = resolve;
    });
  }

  #next(iterator: AsyncIterator<unknown>): Promise<IteratorResult<unknown>> {
    const { timeout } = this.#options;
    const next = this.#unlessStopped<IteratorResult<unknown>>((resolve, reject) => {
      // It may be none of the language's own: its answer need not be a promise.
      Promise.resolve(iterator.next()).then(resolve, reject);
    });
    if (timeout === undefined) return next;
    const timer = setTimeout(() => this.#request[share].receipt.abort(lateError(timeout)), timeout);
    return next.finally(() => clearTimeout(timer));
  }

  #unlessStopped<T>(begin: (resolve: (value: T) => void, reject: (reason: unknown) => void) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#stopped) {
        reject(this.#stopped.reason);
        return;
      }
      this.#interrupt = reject;
      begin(resolve, reject);
    });
  }

  #stop(reason: unknown): void {
    this.#stopped ??= { reason };
    this.#interrupt?.(reason);
  }

  /** Tells the requester, who has had parts, of what it would not hear by an answer, because the request is not held any more. */
  #breakOff(): void {
    const { [share]: part, [packet]: asked, isCancelled } = this.#request;
    if (this.#count === 0 || part.isOpen || isCancelled) return;
    const { outbox, texts } = this.#options;
    outbox.send({ channel: asked.channel, text: texts.ofFailure(asked.id, brokenOff()) }).catch(() => {});
  }

  /** The handler has settled its request itself: what that says comes before that there are no more parts. */
  async #leave(): Promise<never> {
    await this.#request[share].receipt.answer;
    throw brokenOff();
  }

  #post(data: unknown): void {
    const { id, channel } = this.#request[packet];
    const { desk, outbox, texts } = this.#options;
    const back = this.#count === 0 ? { channel: desk.channel } : undefined;
    const text = texts.ofPart({ id, run: this.#name, part: this.#count, data, ...back });
    this.#count += 1;
    const sent = outbox.send({ channel, text });
    if (sent === this.#sent) return;
    this.#sent = sent;
    sent.catch((error) => this.#stop(error));
  }
}

/** What the requester is told who has had some parts, and gets no more. */
export function brokenOff(): MillraceError {
  return new MillraceError('INTERRUPTED', 'Whoever answered in parts has given up before the last one');
}

/** What a stream has, and other iterables may have. */
interface Stream {
  on?(event: 'error', listener: () => void): void;
  destroy?(): void;
}

/** Says that no more is wanted of what gives parts. What it says to that is nobody's. A stream that was not begun is not ended by its iterator. */
export function discard(parts: AsyncIterable<unknown>, iterator?: AsyncIterator<unknown>): void {
  const stream = parts as Stream;
  quietly(() => iterator?.return?.());
  quietly(() => stream.on?.('error', () => {}));
  quietly(() => stream.destroy?.());
}

function quietly(call: () => unknown): void {
  try {
    Promise.resolve(call()).catch(() => {});
  } catch {
    // As the caller says.
  }
}
