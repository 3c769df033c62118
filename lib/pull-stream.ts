import type { StandardSchemaV1 } from '@standard-schema/spec';
import { Invalid, ItemCodec, schema } from './codec.ts';
import { type Connection, connectionFor, internal, requireSupport } from './connect.ts';
import type { DriverConnection, Receiver } from './driver.ts';
import { MillraceError, messageOf } from './errors.ts';
import {
  CLOSE_TIMEOUT,
  type CloseOptions,
  checkQueueName,
  closeTimeout,
  type Filled,
  milliseconds,
  oneOf,
  reserve,
  withDefaults,
} from './options.ts';
import { Pace } from './pace.ts';
import { Prefetch } from './prefetch.ts';
import { StreamIterator } from './stream-iterator.ts';
import { type StreamOptions, streamChecks, streamDefaults } from './stream-options.ts';
import { addAbortSignal, pushTo, Readable, whenClosed } from './streams.ts';
import { Deadline, within } from './timeout.ts';

/** The options of a {@link PullStream}. */
export interface PullOptions extends StreamOptions {
  /** From which end items come: `'right'` (default), first in first out, or `'left'`, last in first out. */
  side?: 'left' | 'right';
  /** Milliseconds without an item, since the broker first answered, after which the stream ends. Default: it never does. */
  timeout?: number;
}

const checks = { ...streamChecks, side: oneOf('left', 'right'), timeout: milliseconds, schema };

const defaults = { ...streamDefaults, side: 'right' } as const satisfies PullOptions;

/** How many items are decoded in a row: enough to keep the processor at one task, too few to delay the next ask. */
const DECODED = 32;

/**
 * A Readable of the values in a queue. What it pops is gone from the broker: at most once.
 *
 * - It holds at most `highWaterMark` items, popped and not yet read; with 0 it pops one when one is read. Of those it pops only as
 *   many ahead as are read in about 10 ms, and one at least, so that nobody else waits for them in vain.
 * - `pause()`, a slow pipe and `unpipe()` stop a pop that waits, without losing an item. {@link close}, `destroy()`, `break` out
 *   of `for await` and an abort do so too, and give back what was not read, in order, where it came from.
 * - When the connection breaks, or the broker is away, it goes on by itself. An answer that was lost with a connection takes
 *   its items with it: an `'unanswered'` event says how many that can be at most.
 * - An item that codec, schema or `maxBytes` refuse, and `null`, which no object stream can carry, goes byte for byte to the
 *   queue's dead letters; an `'invalid'` event bears the error, whose `item` is the bytes.
 *
 * Events beside a Readable's: `'ready'` when the broker answers, `'unanswered'`, `'invalid'`. Fails with
 * `ERR_MILLRACE_REFUSED`, `ERR_MILLRACE_NOT_SUPPORTED`, and `ERR_MILLRACE_CONNECTION` where items could not be given back.
 *
 * @typeParam Out what it gives: the schema's output where there is one
 */
// biome-ignore lint/suspicious/noExplicitAny: what a user who names no type gets
export class PullStream<Out = any> extends Readable {
  readonly #connection: Connection;
  readonly #queue: string;
  readonly #options: Filled<PullOptions, typeof defaults>;
  readonly #codec: ItemCodec;
  readonly #prefetch: Prefetch;
  readonly #pace = new Pace();
  readonly #destroying = new AbortController();
  #driver: DriverConnection | undefined;
  #receiver: Receiver | undefined;
  /** The ask under way. */
  #receiving: Promise<void> | undefined;
  /** How many items have come in all, and how many of them the pace knows to be read. */
  #received = 0;
  #counted = 0;
  /** What has come last, and how many of it have been handed to Node. */
  #arrived: readonly Buffer[] = [];
  #delivered = 0;
  #validating = false;
  /** The bytes of what Node holds, and maybe of some before: its last `readableLength` are what nobody has read. */
  #held: Buffer[] = [];
  /** The items that are on their way to the dead letters. */
  readonly #deadLetters = new Map<Buffer, Promise<void>>();
  #paused = false;
  /** Whether somebody has tried to read since the last item was handed over. */
  #wanted = false;
  #stopping = false;
  /** Whether it ends behind what has arrived. */
  #ending = false;
  #closing: Promise<void> | undefined;
  #patience = CLOSE_TIMEOUT;
  #lost: MillraceError | undefined;

  /**
   * @param queue 1 to 128 letters, digits and any of `. _ : / -`
   * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE where name or options are wrong;
   *   ERR_MILLRACE_NOT_SUPPORTED where the broker can't do what they ask; ERR_MILLRACE_CLOSED where the connection is closed
   */
  // biome-ignore lint/suspicious/noExplicitAny: a schema takes what it takes
  constructor(queue: string, options?: PullOptions & { schema?: StandardSchemaV1<any, Out> }) {
    checkQueueName(queue);
    const checked = withDefaults<PullOptions & { schema?: StandardSchemaV1 }, typeof defaults>(
      options,
      checks,
      defaults,
    );
    const connection = connectionFor(checked.connection);
    if (checked.side !== 'right') requireSupport(connection, 'sides', `side: '${checked.side}'`);
    super({ objectMode: true, highWaterMark: checked.highWaterMark });
    this.#connection = connection;
    this.#queue = queue;
    this.#options = checked;
    this.#codec = new ItemCodec(checked);
    this.#prefetch = new Prefetch(checked.highWaterMark);
    this.#pace.rest();
    connection[internal].add(this, 'pulling');
    if (checked.signal) addAbortSignal(checked.signal, this);
  }

  /**
   * Stops pulling and lets what is held flow on, then the stream ends; where nobody reads it is given back at once, and so is
   * what is left when the time is over. Resolves when the stream is closed. Rejects with `ERR_MILLRACE_CONNECTION`, which says
   * how many items could not be given back. Safe to call twice.
   */
  close(options?: CloseOptions): Promise<void> {
    const timeout = closeTimeout(options);
    this.#closing ??= this.#close(timeout);
    return this.#closing;
  }

  /** Destroys the stream, and resolves when what it held is given back. Rejects where that failed, as {@link close} does. */
  override async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#whenClosed();
    this.destroy();
    await closed;
  }

  override [Symbol.asyncIterator](): NodeJS.AsyncIterator<Out> {
    return new StreamIterator<Out>(this);
  }

  override pause(): this {
    this.#paused = true;
    if (this.#receiving && !this.#demanded) this.#receiver?.cancel();
    return super.pause();
  }

  override resume(): this {
    this.#paused = false;
    super.resume();
    this.#pull();
    return this;
  }

  /** As Node's, but for a destroyed stream: it gives nothing any more, for what it held is on its way back. */
  override read(size?: number): Out | null {
    if (this.destroyed) return null;
    if (size !== 0) {
      this.#paused = false;
      this.#wanted = true;
    }
    const value: Out | null = super.read(size);
    if (value === null && size !== 0) this.#restWithoutItems();
    this.#pull();
    return value;
  }

  override _construct(callback: (error?: Error | null) => void): void {
    const open = async (): Promise<void> => {
      this.#driver = await this.#connection[internal].open(this, this.#destroying.signal);
      this.#receiver = this.#driver.receiver(this.#queue, {
        side: this.#options.side,
        onUnanswered: (atMost) => this.emit('unanswered', atMost),
      });
    };
    open().then(() => {
      callback();
      // With highWaterMark 0 Node does not come back to a read that came too early.
      process.nextTick(() => {
        if (this.#wanted || this.listenerCount('readable') > 0) this.#pull();
      });
    }, callback);
  }

  override _read(): void {
    this.#pull();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#shutDown().then((lost) => {
      this.#connection[internal].delete(this);
      this.#lost = lost;
      // One error is all a stream can end with: a loss that comes on top of another must not go unsaid.
      if (error && lost) process.emitWarning(lost);
      callback(error ?? lost ?? null);
    });
  }

  /** Asks for as many items as there is room for, unless that is under way, or nobody wants any. */
  #pull(): void {
    if (!this.#receiver || this.#receiving || this.#stopping || this.destroyed || !this.#demanded) return;
    const max = this.#wish();
    if (max > 0) this.#receiving = this.#receive(this.#receiver, max);
  }

  /** How many items to ask for now. */
  #wish(): number {
    const held = this.readableLength + this.#undelivered + this.#deadLetters.size;
    const fits = this.#prefetch.next(held);
    // A look at the clock costs a part of what an item does: at every other one is enough to follow a pace in time.
    if (fits === 0 && held % 2 > 0) return 0;
    const read = this.#received - held;
    this.#pace.add(read - this.#counted);
    this.#counted = read;
    const room = this.#pace.room(held);
    return Math.min(fits, held === 0 ? Math.max(1, room) : room);
  }

  /** Whether anybody is there to read. As Node has it, a pause means nothing to who listens to 'readable'. */
  get #demanded(): boolean {
    if (this.#paused) return this.listenerCount('readable') > 0;
    if (this.readableHighWaterMark > 0 || this.#wanted || this.readableFlowing) return true;
    return this.listenerCount('readable') > 0;
  }

  async #receive(receiver: Receiver, max: number): Promise<void> {
    const idle = this.#watchIdleness();
    try {
      const items = await receiver.receive(max);
      this.#prefetch.received(max, items);
      this.#received += items.length;
      if (items.length > 0) this.#pace.work();
      this.#arrived = this.#undelivered === 0 ? items : [...this.#arrived.slice(this.#delivered), ...items];
      this.#delivered = 0;
    } catch (error) {
      this.destroy(error as Error);
      return;
    } finally {
      this.#receiving = undefined;
      idle?.stop();
    }
    if (idle?.over && this.#undelivered === 0) this.#end();
    if (!this.#codec.validates) this.#deliver();
    else if (!this.#validating) void this.#deliverValid();
    // Nothing may have come, because of a pause that is over by now.
    this.#pull();
  }

  /** Ends an ask that has lasted as long as the `timeout` option says. */
  #watchIdleness(): { over: boolean; stop(): void } | undefined {
    const { timeout } = this.#options;
    if (timeout === undefined) return undefined;
    let timer: NodeJS.Timeout | undefined;
    const stopping = new AbortController();
    const watch = { over: false, stop: () => stopping.abort(clearTimeout(timer)) };
    const start = (): void => {
      timer = setTimeout(() => {
        watch.over = true;
        this.#receiver?.cancel();
      }, timeout);
    };
    // A broker that is away has not said that there is nothing.
    this.#driver?.ready(stopping.signal).then(start, () => {});
    return watch;
  }

  /** Ends behind what is held; at once, though nobody may be reading, when nothing is. */
  #end(): void {
    this.#stopping = true;
    if (this.destroyed) return;
    this.push(null);
    if (this.readableLength === 0) super.read(0);
  }

  get #undelivered(): number {
    return this.#arrived.length - this.#delivered;
  }

  /** Hands over what has arrived, decoding some at a time. */
  #deliver(): void {
    while (this.#undelivered > 0 && !this.destroyed) {
      // The next ask goes out as soon as there is room for it: so the broker works while the consumer does.
      this.#pull();
      const values = this.#codec.decode(this.#arrived.slice(this.#delivered, this.#delivered + DECODED));
      for (const value of values) {
        if (this.destroyed) return;
        this.#handOver(value);
      }
    }
    if (this.readableFlowing) this.#restWithoutItems();
  }

  /** Notes that somebody waits for items, where none is held, and lets go of the bytes of those before: there may be many such streams. */
  #restWithoutItems(): void {
    if (this.readableLength + this.#undelivered > 0) return;
    this.#pace.rest();
    this.#held = [];
    this.#arrived = [];
    this.#delivered = 0;
  }

  /** Hands over what has arrived, one after the other, as the schema lets it pass. */
  async #deliverValid(): Promise<void> {
    this.#validating = true;
    while (this.#undelivered > 0 && !this.destroyed) {
      this.#pull();
      const value = await this.#codec.decodeValid(this.#arrived[this.#delivered] as Buffer);
      if (!this.destroyed) this.#handOver(value);
    }
    this.#validating = false;
    if (this.readableFlowing) this.#restWithoutItems();
    if (this.#ending) this.#end();
  }

  /** Hands over the next item that has arrived. */
  #handOver(value: unknown): void {
    const bytes = this.#arrived[this.#delivered++] as Buffer;
    if (value instanceof Invalid) {
      this.#refuse(bytes, value.error);
      return;
    }
    const before = this.readableLength;
    this.#wanted = false;
    pushTo(this, value);
    if (this.readableLength === before) return;
    if (before === 0) this.#held = [];
    else if (this.#held.length > 4 * this.readableHighWaterMark) this.#held = this.#held.slice(-before);
    this.#held.push(bytes);
  }

  #refuse(bytes: Buffer, error: MillraceError): void {
    const kept = (this.#receiver as Receiver).deadLetter(bytes, error.message).then(
      () => {
        this.#deadLetters.delete(bytes);
        process.nextTick(() => this.emit('invalid', error));
        this.#pull();
      },
      (failure) => void this.destroy(failure),
    );
    this.#deadLetters.set(bytes, kept);
  }

  async #close(timeout: number): Promise<void> {
    if (this.closed) return;
    const closed = this.#whenClosed();
    const unread = !this.readableFlowing && this.listenerCount('data') + this.listenerCount('readable') === 0;
    if (unread || this.destroyed) {
      this.#patience = timeout;
      this.destroy();
    } else {
      this.#patience = reserve(timeout);
      await within(Promise.race([this.#drain(), closed]), timeout - this.#patience).catch(() => this.destroy());
    }
    await closed;
  }

  /** Pulls no more, and ends behind what is held; resolves, if ever, when all that is read. */
  async #drain(): Promise<void> {
    this.#stopping = true;
    this.#receiver?.cancel();
    await this.#receiving;
    this.#ending = true;
    if (!this.#validating) this.#end();
    await whenClosed(this);
  }

  /** Resolves when the stream is closed; rejects where it lost items by it. */
  async #whenClosed(): Promise<void> {
    await whenClosed(this);
    if (this.#lost) throw this.#lost;
  }

  /** Stops the pop under way, gives back what nobody has read, and says what could not be given back. */
  async #shutDown(): Promise<MillraceError | undefined> {
    const deadline = new Deadline(this.#patience);
    this.#destroying.abort();
    const receiver = this.#receiver;
    if (!receiver) return undefined;
    receiver.cancel();
    const underWay = Promise.all([this.#receiving, ...this.#deadLetters.values()]);
    await within(underWay, deadline.left / 2).catch(() => {});
    const unread = this.#held.slice(Math.max(0, this.#held.length - this.readableLength));
    const rest = [...this.#deadLetters.keys(), ...unread, ...this.#arrived.slice(this.#delivered)];
    let lost: MillraceError | undefined;
    if (rest.length > 0) {
      await within(receiver.giveBack(rest), deadline.left).catch((cause) => {
        const message = `${rest.length} items popped from queue "${this.#queue}" could not be given back: ${messageOf(cause)}`;
        lost = new MillraceError('CONNECTION', message, { cause, item: rest });
      });
    }
    await within(receiver.close(), deadline.left).catch(() => {});
    return lost;
  }
}
