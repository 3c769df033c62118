import { type Abortable, forgetAbort, onAbort } from './abort-listeners.ts';
import { Bag, type Bagged } from './bag.ts';
import { type ConnectedStream, type Connection, internal } from './connect.ts';
import type { Validator } from './contract.ts';
import { type Asked, Desk } from './desk.ts';
import type { Sender } from './driver.ts';
import { invalidType, invalidValue, MillraceError, messageOf, type RemoteError } from './errors.ts';
import { abortSignal, type Check, type Filled, integer, LONGEST_TIMER } from './options.ts';
import type { CreditPacket, PartPacket, ProgressPacket, ReplyPacket } from './packet.ts';
import { within } from './timeout.ts';
import { Batch, COMMAND_ITEMS } from './writes.ts';

/** How a request is made. */
export interface RequestOptions {
  /** Milliseconds, at least 1, until it fails with `ERR_MILLRACE_TIMEOUT`, and nobody begins to work on it any more; default 30,000. */
  timeout?: number;
  /**
   * Milliseconds, at least 1, after which it fails with `ERR_MILLRACE_NO_CONSUMER` if it is not answered and its queue has no consumer
   * at that moment. Default: none, it waits for one.
   */
  consumerTimeout?: number;
  /** Gives it up when it is aborted. */
  signal?: AbortSignal;
  /** What goes along with it, for whoever works on it. Default: nothing. */
  headers?: Readonly<Record<string, string>>;
  /** Called with how much is done, and of how much, when whoever works on it says so by {@link Request.progress}. Not all is heard. */
  onProgress?: (done: number, total: number) => void;
}

const headers: Check = (value, name) => {
  if (!isPlain(value)) throw invalidType(name, 'a plain object of strings', value);
  for (const [key, one] of Object.entries(value)) {
    if (typeof one !== 'string') throw invalidType(`${name}.${key}`, 'of type string', one);
  }
};

function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** The checks of {@link RequestOptions}. */
export const requestChecks = {
  timeout: integer(1, LONGEST_TIMER),
  consumerTimeout: integer(1, LONGEST_TIMER),
  signal: abortSignal,
  headers,
  onProgress: (value: unknown, name: string) => {
    if (typeof value !== 'function') throw invalidType(name, 'of type function', value);
  },
};

/** The defaults of {@link RequestOptions}. */
export const requestDefaults = { timeout: 30_000 } as const satisfies RequestOptions;

/** The name of a method: any text but none. */
export const method: Check = (value, name) => {
  if (typeof value !== 'string') throw invalidType(name, 'of type string', value);
  if (value === '') throw invalidValue(name, 'the name of a method', value);
};

/** The options of a request, as they are used: many requests may share them. */
export interface Terms {
  readonly timeout: number;
  readonly consumerTimeout: number | undefined;
  readonly signal: AbortSignal | undefined;
  /** In JSON. */
  readonly headers: string | undefined;
  readonly onProgress: RequestOptions['onProgress'];
}

/** The terms that options mean. */
export function termsOf(options: Filled<RequestOptions, typeof requestDefaults>): Terms {
  return {
    timeout: options.timeout,
    consumerTimeout: options.consumerTimeout,
    signal: options.signal,
    headers: options.headers && JSON.stringify(options.headers),
    onProgress: options.onProgress,
  };
}

/** A request, from {@link Asker.ask} until it is settled, which it is once: by one of its two methods. */
export abstract class Pending implements Bagged, Asked, Abortable {
  readonly method: string;
  readonly terms: Terms;
  /** Not -1 as long as it is not settled. */
  place = -1;
  // All that follows is its asker's.
  asker: Asker | undefined = undefined;
  parameters: string | undefined = undefined;
  slot = -1;
  /** Empty before it has a slot, as the body. */
  id = '';
  body = '';
  deadline = 0;
  isSent = false;
  isLookedAfter = false;
  timer: NodeJS.Timeout | undefined = undefined;

  constructor(method: string, terms: Terms) {
    this.method = method;
    this.terms = terms;
  }

  /** How many parts of a reply it takes before it says that it takes more; nothing: it is for one reply. */
  get parts(): number | undefined {
    return undefined;
  }

  /** Called with what it was answered with, which may be undefined or null; or with how many parts it was answered in. */
  abstract fulfilled(data: unknown, parts: number | undefined): void;
  /** Called with why it was not. */
  abstract rejected(error: Error): void;

  /** Called with how whoever worked on it has failed. */
  failed(error: Error): void {
    this.rejected(error);
  }

  answered(reply: ReplyPacket): void {
    this.asker?.answer(this, reply);
  }

  lost(): void {
    this.asker?.lose(this);
  }

  progressed({ done, total }: ProgressPacket): void {
    const { onProgress } = this.terms;
    // In a tick of its own: what it throws is its owner's.
    if (onProgress) process.nextTick(onProgress, done, total);
  }

  /** Called with a part of a reply; gives whether that was to be expected. */
  part(_part: PartPacket): boolean {
    return false;
  }

  abort(reason: unknown): void {
    this.asker?.giveUp(this, abortErrorOf(reason));
  }
}

/** What an aborted request fails with: the reason, if that is an error. */
export function abortErrorOf(reason: unknown): Error {
  if (reason instanceof Error) return reason;
  return new DOMException('The request was aborted', { name: 'AbortError', cause: reason });
}

/** How many batches are on their way at a time. */
const BATCHES = 2;

/** From how many requests on they are sent as soon as they are half of all that are pending. */
const HALF = 48;

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
    else pending.failed(this.#remoteError(pending, reply.error));
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
    const message = `The connection broke while the ${this.#nameOf(pending)} was on its way or at work`;
    this.#fail(pending, new MillraceError('CONNECTION', message));
  }

  /** Called when a request's timer rings: its time, or that for a consumer to come, is over. */
  ring(pending: Pending): void {
    const { timeout, consumerTimeout = timeout } = pending.terms;
    if (pending.isLookedAfter || timeout <= consumerTimeout) {
      this.#fail(pending, this.#timeoutError(pending));
      return;
    }
    pending.isLookedAfter = true;
    pending.timer = setTimeout(ring, timeout - consumerTimeout, pending);
    if (this.#desk) this.#lookAfter(pending, this.#desk);
  }

  /** Fails a request if nobody is there to work on it. */
  #lookAfter(pending: Pending, desk: Desk): void {
    desk.isServed(this.#queue).then((served) => {
      if (!served) this.giveUp(pending, this.#noConsumerError(pending));
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
    const said = parameters === undefined ? '' : `,"parameters":${parameters}`;
    const along = terms.headers === undefined ? '' : `,"headers":${terms.headers}`;
    const inParts = pending.parts === undefined ? '' : `,"parts":${pending.parts}`;
    pending.body =
      `{"id":"${pending.id}","method":${JSON.stringify(pending.method)}${said},"channel":${desk.channelText},` +
      `"deadline":${pending.deadline}${along}${inParts}}`;
    pending.parameters = undefined;
    const { maxBytes } = this.#options;
    // UTF-8 takes at most three bytes for a unit of a string: most strings need no closer count.
    if (pending.body.length * 3 <= maxBytes) return;
    const bytes = Buffer.byteLength(pending.body);
    if (bytes <= maxBytes) return;
    desk.delete(pending);
    throw new MillraceError('TOO_LARGE', `A request of ${bytes} bytes is larger than maxBytes, ${maxBytes}`);
  }

  /**
   * Whether half of what is pending waits to be sent. Who asks anew for each reply does so in waves, as the replies come: in one, both ends
   * work by turns, in two at the same time, which makes a third more a second of 256 in flight. (Of fewer than 96 each wave is too dear.)
   */
  get #isHalfAsked(): boolean {
    const waiting = this.#unsent.length - this.#taken;
    return waiting >= HALF && waiting * 2 >= this.#pending.size;
  }

  /** Sends what is asked in this turn at its end. With as many batches as may be on their way it is sent behind one of them. */
  #flushSoon(): void {
    if (this.#flushing || !this.#sender || this.#batches >= BATCHES) return;
    this.#flushing = true;
    process.nextTick(this.#flush);
  }

  readonly #flush = (): void => {
    this.#flushing = false;
    while (this.#batches < BATCHES && this.#sender && !this.#closed) {
      const batch = this.#nextBatch();
      if (batch.bodies.length === 0) return;
      void this.#send(this.#sender, batch);
    }
  };

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

  #remoteError(pending: Pending, said: RemoteError): MillraceError {
    const remote = remoteErrorIn(said);
    const message = `The ${this.#nameOf(pending)} failed: ${remote.message}`;
    return new MillraceError(REMOTE_CODES.get(remote.code) ?? 'REMOTE', message, { remote });
  }

  #timeoutError(pending: Pending): MillraceError {
    const message = `The ${this.#nameOf(pending)} was not answered within ${pending.terms.timeout} ms`;
    return new MillraceError('TIMEOUT', message);
  }

  #noConsumerError(pending: Pending): MillraceError {
    return new MillraceError('NO_CONSUMER', `Nobody is there to work on the ${this.#nameOf(pending)}`);
  }

  #nameOf(pending: Pending): string {
    return `request "${pending.method}" to queue "${this.#queue}"`;
  }
}

/** What is said at the other end in the same words as here. All else is the failure of a handler. */
const REMOTE_CODES: ReadonlyMap<string | undefined, 'NO_METHOD' | 'DEAD_LETTER' | 'INTERRUPTED'> = new Map([
  ['ERR_MILLRACE_INTERRUPTED', 'INTERRUPTED'],
  ['ERR_MILLRACE_NO_METHOD', 'NO_METHOD'],
  ['ERR_MILLRACE_DEAD_LETTER', 'DEAD_LETTER'],
] as const);

/** What is told of an error, as far as it is text. Older servers may tell it in any JSON. */
export function remoteErrorIn(said: unknown): RemoteError {
  if (typeof said !== 'object' || said === null) return { name: 'Error', message: String(said) };
  const { name, message, code, stack } = said as Partial<Record<keyof RemoteError, unknown>>;
  return {
    name: typeof name === 'string' ? name : 'Error',
    message: typeof message === 'string' ? message : 'no message was given',
    ...(typeof code === 'string' || typeof code === 'number' ? { code: String(code) } : {}),
    ...(typeof stack === 'string' ? { stack } : {}),
  };
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
