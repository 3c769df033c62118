import { forgetAbort, onAbort } from './abort-listeners.ts';
import { Bag } from './bag.ts';
import { type ConnectedStream, type Connection, internal } from './connect.ts';
import type { Validator } from './contract.ts';
import { Desk } from './desk.ts';
import type { Sender } from './driver.ts';
import { MillraceError, messageOf } from './errors.ts';
import { type CreditPacket, type ReplyPacket, requestText } from './packet.ts';
import type { Pending } from './pending.ts';
import { failureOf, lostError, noConsumerError, timeoutError } from './request-errors.ts';
import { checkSize } from './size.ts';
import { within } from './timeout.ts';
import { Batch, COMMAND_ITEMS } from './writes.ts';

/** How many batches are on their way at a time. */
const BATCHES = 2;

/**
 * From how many pending requests on they are sent by halves. Who asks anew for each reply does so in waves, as the replies come: in one, both
 * ends work by turns; in two, at the same time: of 256 in flight that makes half as many again in a second. Of few each wave costs too much.
 */
const MANY = 96;

/** How long to wait, when all else is closed, until the broker knows what was cancelled, in milliseconds. */
const CANCELLING = 500;

/** How long, at least, a reply in parts goes on when nothing is heard of its requester any more, in milliseconds. */
const LEAST_SILENCE = 3000;

/** What an {@link Asker} is to know. */
export interface AskerOptions {
  readonly maxBytes: number;
  /** Called when no request is pending any more. */
  onIdle?(): void;
}

/** Makes the requests of one stream, or of one client, to one queue: it sends them in batches, and sees to it that each is settled once. */
export class Asker {
  readonly #connection: Connection;
  readonly #queue: string;
  readonly #options: AskerOptions;
  readonly #closing = new AbortController();
  readonly #pending = new Bag<Pending>();
  /** In the order asked; those before `#taken` are sent. */
  #unsent: Pending[] = [];
  #taken = 0;
  /** How many of them, at most, are not to be sent any more. */
  #forgotten = 0;
  #batches = 0;
  #flushing = false;
  /** How many were pending when last a turn was over in which some were asked. */
  #level = 0;
  #desk: Desk | undefined;
  #sender: Sender | undefined;
  #unwatch: (() => void) | undefined;
  readonly #cancels = new Set<Promise<void>>();
  #closed: Promise<void> | undefined;

  constructor(connection: Connection, queue: string, options: AskerOptions) {
    this.#connection = connection;
    this.#queue = queue;
    this.#options = options;
  }

  /** How many requests are pending. */
  get size(): number {
    return this.#pending.size;
  }

  /** Opens it for a stream, which is told when the broker answers. What was asked before is asked now. Rejects as the driver does. */
  async open(stream: ConnectedStream): Promise<void> {
    const { open, stray } = this.#connection[internal];
    const driver = await open(stream, this.#closing.signal);
    if (this.#closed) return;
    this.#desk = Desk.enter(driver, stray);
    this.#unwatch = this.#desk.watch(this.#queue);
    this.#sender = driver.sender(this.#queue, { side: 'left', requests: true });
    for (const pending of this.#unsent) this.#composeLate(pending, this.#desk);
    for (const pending of this.#pending) if (pending.isLookedAfter) this.#lookAfter(pending, this.#desk);
    this.#flushSoon();
  }

  /**
   * Makes a request. Throws, and it is not pending, with `ERR_MILLRACE_INVALID_ITEM` where JSON can't say the value, and with
   * `ERR_MILLRACE_TOO_LARGE`; before the asker is open it is told the second later.
   */
  ask(pending: Pending, value: unknown): void {
    pending.parameters = parametersOf(value);
    if (this.#desk) this.#compose(pending, this.#desk);
    this.#begin(pending);
    this.#unsent.push(pending);
    if (this.#isHalfAsked) this.#flush();
    else this.#flushSoon();
  }

  /** As {@link ask}, but it is not sent before a validator has passed the value, and fails where that refuses it. */
  askValid(pending: Pending, value: unknown, input: Validator): void {
    pending.parameters = parametersOf(value);
    this.#begin(pending);
    input.validate(value, 'The parameters').then(
      () => this.#askLate(pending),
      (error) => this.#fail(pending, error),
    );
  }

  /** Settles a request by its reply. */
  answer(pending: Pending, reply: ReplyPacket): void {
    if (!this.#end(pending)) return;
    if (reply.success) pending.fulfilled(reply.data, reply.parts);
    else pending.failed(failureOf(this.#nameOf(pending), reply.error));
    this.#checkIdle();
  }

  /** Fails a request, and has it cancelled if it was sent. */
  giveUp(pending: Pending, error: Error): void {
    if (!this.#end(pending)) return;
    if (pending.isSent && this.#desk) this.#cancel(pending, this.#desk);
    pending.rejected(error);
    this.#checkIdle();
  }

  /** Tells whoever sends the parts of a request's reply how many more it takes, and that somebody waits for them still. */
  say(pending: Pending, channel: string, { run, credit }: Omit<CreditPacket, 'deadline'>): void {
    const { timeout } = pending.terms;
    this.#desk?.say(channel, { run, credit, deadline: this.#desk.driver.now() + Math.max(timeout, LEAST_SILENCE) });
  }

  /** Fails a request that the broker has lost on its way, or its answer. */
  lose(pending: Pending): void {
    this.#fail(pending, lostError(this.#nameOf(pending)));
  }

  /** Called when a request's timer rings: its time, or that for a consumer to come, is over. */
  ring(pending: Pending): void {
    const { timeout, consumerTimeout = timeout } = pending.terms;
    if (pending.isLookedAfter || timeout <= consumerTimeout) {
      this.#fail(pending, timeoutError(this.#nameOf(pending), timeout));
      return;
    }
    pending.isLookedAfter = true;
    pending.timer = setTimeout(ring, timeout - consumerTimeout, pending);
    if (this.#desk) this.#lookAfter(pending, this.#desk);
  }

  /** Fails a request if nobody is there to work on it. */
  #lookAfter(pending: Pending, desk: Desk): void {
    desk.isServed(this.#queue).then((served) => {
      if (!served) this.giveUp(pending, noConsumerError(this.#nameOf(pending)));
    });
  }

  /**
   * Fails what is pending, and lets go of the connection. Resolves when the broker knows what was cancelled, or will not soon: after
   * at most `patience` milliseconds, by default 500. Never rejects. Safe to call twice.
   */
  close(error: Error, patience: number = CANCELLING): Promise<void> {
    this.#closed ??= this.#close(error, Math.min(patience, CANCELLING));
    return this.#closed;
  }

  async #close(error: Error, patience: number): Promise<void> {
    this.#closing.abort();
    for (const pending of [...this.#pending]) this.giveUp(pending, error);
    this.#unsent = [];
    this.#unwatch?.();
    const sent = this.#sender?.close();
    await within(Promise.allSettled([sent, ...this.#cancels]), patience).catch(() => {});
    this.#desk?.leave();
  }

  #begin(pending: Pending): void {
    pending.asker = this;
    this.#pending.add(pending);
    const { timeout, consumerTimeout = timeout, signal } = pending.terms;
    pending.timer = setTimeout(ring, Math.min(timeout, consumerTimeout), pending);
    if (signal) onAbort(signal, pending);
  }

  #askLate(pending: Pending): void {
    if (this.#desk) this.#composeLate(pending, this.#desk);
    this.#unsent.push(pending);
    this.#flushSoon();
  }

  #composeLate(pending: Pending, desk: Desk): void {
    if (pending.place < 0) return;
    try {
      this.#compose(pending, desk);
    } catch (error) {
      this.#fail(pending, error as Error);
    }
  }

  /** Writes the packet of a request. */
  #compose(pending: Pending, desk: Desk): void {
    const { terms, parameters } = pending;
    desk.add(pending);
    pending.deadline = desk.driver.now() + terms.timeout;
    pending.body = requestText(pending, { parameters, channel: desk.channelText, headers: terms.headers });
    pending.parameters = undefined;
    try {
      checkSize('A request', pending.body, this.#options.maxBytes);
    } catch (error) {
      desk.delete(pending);
      throw error;
    }
  }

  /** Whether as many wait to be sent as are half of those that were pending when last a turn was over. */
  get #isHalfAsked(): boolean {
    const waiting = this.#unsent.length - this.#taken;
    return this.#level >= MANY && waiting * 2 >= this.#level;
  }

  /** Sends what is asked in this turn at its end. With as many batches as may be on their way it is sent behind one of them. */
  #flushSoon(): void {
    if (this.#flushing || !this.#sender || this.#batches >= BATCHES) return;
    this.#flushing = true;
    process.nextTick(() => {
      this.#flushing = false;
      this.#level = this.#pending.size;
      this.#flush();
    });
  }

  #flush(): void {
    while (this.#batches < BATCHES && this.#sender && !this.#closed) {
      const batch = this.#nextBatch();
      if (batch.bodies.length === 0) return;
      void this.#send(this.#sender, batch);
    }
  }

  #nextBatch(): Batch {
    const batch = new Batch(0, undefined);
    while (batch.bodies.length < COMMAND_ITEMS && this.#taken < this.#unsent.length) {
      const pending = this.#unsent[this.#taken] as Pending;
      if (pending.place >= 0) {
        if (!batch.take(pending.body, 0, undefined)) break;
        pending.isSent = true;
        batch.watched.push(pending);
      }
      this.#taken += 1;
    }
    if (this.#taken > this.#unsent.length / 2) {
      this.#unsent = this.#unsent.slice(this.#taken);
      this.#taken = 0;
    }
    return batch;
  }

  async #send(sender: Sender, { bodies, watched }: Batch): Promise<void> {
    this.#batches += 1;
    try {
      await sender.send(bodies);
    } catch (error) {
      this.#replace(sender);
      for (const pending of watched as Pending[]) this.#fail(pending, error as Error);
    }
    this.#batches -= 1;
    this.#flush();
  }

  /** A sender that was refused once may be so for ever; what is asked from now on shall have its own answer. */
  #replace(sender: Sender): void {
    if (this.#closed || this.#sender !== sender) return;
    void sender.close();
    this.#sender = this.#desk?.driver.sender(this.#queue, { side: 'left', requests: true });
  }

  /** Takes a request out of those that are pending; false where it is settled. */
  #end(pending: Pending): boolean {
    if (!this.#pending.delete(pending)) return false;
    clearTimeout(pending.timer);
    if (pending.terms.signal) forgetAbort(pending.terms.signal, pending);
    this.#desk?.delete(pending);
    if (!pending.isSent) this.#forget(pending);
    return true;
  }

  /** One that is never sent shall not take up room until it is its turn: while the broker is away many may come and go. */
  #forget(pending: Pending): void {
    pending.body = '';
    pending.parameters = undefined;
    this.#forgotten += 1;
    if (this.#forgotten < 1000 || this.#forgotten < this.#unsent.length / 2) return;
    this.#unsent = this.#unsent.slice(this.#taken).filter(({ place }) => place >= 0);
    this.#taken = 0;
    this.#forgotten = 0;
  }

  #fail(pending: Pending, error: Error): void {
    if (!this.#end(pending)) return;
    pending.rejected(error);
    this.#checkIdle();
  }

  #checkIdle(): void {
    if (this.#pending.size === 0) this.#options.onIdle?.();
  }

  #cancel(pending: Pending, desk: Desk): void {
    const { id, body, terms } = pending;
    // A reply in parts may have gone on beyond the first deadline.
    const until = Math.max(pending.deadline, desk.driver.now() + (pending.parts === undefined ? 0 : terms.timeout));
    const cancelling = desk.cancel(this.#queue, { id, body, until }).then(() => {
      this.#cancels.delete(cancelling);
    });
    this.#cancels.add(cancelling);
  }

  #nameOf({ method }: Pending): string {
    return `request "${method}" to queue "${this.#queue}"`;
  }
}

function ring(pending: Pending): void {
  pending.asker?.ring(pending);
}

/** The JSON of a value; nothing for undefined. */
function parametersOf(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  try {
    const text: string | undefined = JSON.stringify(value);
    if (text === undefined) throw new TypeError(`a value of type ${typeof value} has no JSON`);
    return text;
  } catch (cause) {
    throw new MillraceError('INVALID_ITEM', `Invalid request: ${messageOf(cause)}`, { item: value, cause });
  }
}
