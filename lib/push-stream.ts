import type { StandardSchemaV1 } from '@standard-schema/spec';
import { ItemCodec, schema } from './codec.ts';
import { type Connection, connectionFor, internal, requireSupport } from './connect.ts';
import type { Delivery, Share } from './delivery.ts';
import type { Body, DriverConnection, Sender } from './driver.ts';
import { MillraceError } from './errors.ts';
import { Hop, lost, Parts } from './hop.ts';
import {
  abortSignal,
  CLOSE_TIMEOUT,
  type CloseOptions,
  checkQueueName,
  closeTimeout,
  type Filled,
  integer,
  milliseconds,
  name,
  oneOf,
  reserve,
  withDefaults,
} from './options.ts';
import { type StreamOptions, streamChecks, streamDefaults } from './stream-options.ts';
import { addAbortSignal, Writable, whenClosed } from './streams.ts';
import { within } from './timeout.ts';
import { Batch, type Callback, COMMAND_ITEMS, Refused, settle, shareIn, valueIn, Write, writtenIn } from './writes.ts';

/** The options of a {@link PushStream}. */
export interface PushOptions extends StreamOptions {
  /** At which end items go in: `'left'` (default), behind all others, or `'right'`, before them. */
  side?: 'left' | 'right';
  /** The length at which the queue counts as full: writes wait until it is shorter. Default: none. */
  maxLength?: number;
  /** Milliseconds after which what is written is due, default 0: it is delivered then, before what waits in the queue. */
  delay?: number;
  /**
   * A name of its own, of the letters of a queue's name: what is written is numbered under it, and the numbers outlive the process
   * by 24 hours. The same source, written again from its first item on to a stream of that name, goes on where it stopped: what
   * is stored already counts as written and is not stored twice. Such a stream takes no deliveries.
   */
  producer?: string;
  /** What becomes of an item that codec, schema or `maxBytes` refuse: see {@link PushStream}. Default `'fail'`. */
  invalid?: 'fail' | 'skip';
}

/** The options of one {@link PushStream.send}. */
export interface SendOptions {
  /** Rejects the promise with its reason. An item that is on its way already may still be stored. */
  signal?: AbortSignal;
  /** Milliseconds after which it is due. Default: the stream's `delay`. */
  delay?: number;
}

const checks = {
  ...streamChecks,
  side: oneOf('left', 'right'),
  maxLength: integer(1),
  delay: milliseconds,
  producer: name,
  invalid: oneOf('fail', 'skip'),
  schema,
};

const defaults = {
  ...streamDefaults,
  highWaterMark: 1024,
  side: 'left',
  delay: 0,
  invalid: 'fail',
} as const satisfies PushOptions;

/** How many commands are on their way at a time. */
const COMMANDS = 2;

/** A write, as Node hands it over. */
interface Chunk {
  readonly chunk: unknown;
}

/**
 * A Writable that puts what is written into a queue.
 *
 * - The callback of a write, and the promise of {@link send}, come when the broker has stored that item; `'finish'` when all
 *   are stored. While the broker is away, or the queue is full, writes wait, and go on by themselves.
 * - What is written while commands are on their way becomes the next batch. `highWaterMark` items wait here before `write()`
 *   answers false; at most half as many more are on their way.
 * - An item that codec, schema or `maxBytes` refuse is not stored. With `invalid: 'fail'` all that was written before it is
 *   stored, then the stream is destroyed with an error whose `item` is the value; with `'skip'` an `'invalid'` event bears
 *   that error and the stream goes on. What is stored is the value as written, not what the schema makes of it.
 *
 * - A delivery may be written in the place of a value: its value is stored, and it is settled in the same step, if one broker
 *   holds it and stores what was made of it; the parts of `withMany()` are stored all at once with the last. Where the delivery is
 *   not held any more, nothing is stored: its write fails alone, with `ERR_MILLRACE_LEASE_LOST`, and a `'lost'` event bears it.
 *   Between two connections it is stored, then acknowledged.
 *
 * Events beside a Writable's: `'ready'` when the broker answers, `'pushed'` with each value that is stored, `'invalid'`, `'lost'`.
 * Fails with `ERR_MILLRACE_REFUSED`, `ERR_MILLRACE_INVALID_ITEM`, `ERR_MILLRACE_TOO_LARGE`, `ERR_MILLRACE_NOT_SUPPORTED`.
 *
 * @typeParam In what {@link send} takes; `write()` stays Node's, which takes anything
 */
// biome-ignore lint/suspicious/noExplicitAny: what a user who names no type gets
export class PushStream<In = any> extends Writable {
  readonly #connection: Connection;
  readonly #queue: string;
  readonly #options: Filled<PushOptions, typeof defaults>;
  readonly #codec: ItemCodec;
  readonly #destroying = new AbortController();
  #sender: Sender | undefined;
  /** The driver's connection, where it can settle what it holds as it stores. */
  #hopping: DriverConnection | undefined;
  readonly #parts = new Parts(() => this.#flush());
  /** What Node handed over last, how far it has been taken, and Node's callback for it. */
  #writes: readonly Chunk[] = [];
  #taken = 0;
  #accept: Callback | undefined;
  #validating = false;
  /** The bytes of the next write, where it did not fit into the last batch. */
  #encoded: Body | undefined;
  #commands = 0;
  #itemsOnTheirWay = 0;
  /** The item that the stream fails with, as soon as all before it are stored. */
  #refused: Refused | undefined;
  #finish: Callback | undefined;
  #closing: Promise<void> | undefined;
  #patience = CLOSE_TIMEOUT;

  /**
   * @param queue 1 to 128 letters, digits and any of `. _ : / -`
   * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE where name or options are wrong;
   *   ERR_MILLRACE_NOT_SUPPORTED where the broker can't do what they ask; ERR_MILLRACE_CLOSED where the connection is closed
   */
  constructor(queue: string, options?: PushOptions & { schema?: StandardSchemaV1<In, unknown> }) {
    checkQueueName(queue);
    const checked = withDefaults<PushOptions & { schema?: StandardSchemaV1 }, typeof defaults>(
      options,
      checks,
      defaults,
    );
    const connection = connectionFor(checked.connection);
    if (checked.delay > 0) requireSupport(connection, 'delay', 'delay');
    if (checked.producer !== undefined) requireSupport(connection, 'producers', 'producer');
    if (checked.side !== 'left') requireSupport(connection, 'sides', `side: '${checked.side}'`);
    if (checked.maxLength !== undefined) requireSupport(connection, 'maxLength', 'maxLength');
    super({ objectMode: true, highWaterMark: checked.highWaterMark });
    this.#connection = connection;
    this.#queue = queue;
    this.#options = checked;
    this.#codec = new ItemCodec(checked);
    connection[internal].add(this, 'pushing');
    if (checked.signal) addAbortSignal(checked.signal, this);
  }

  /**
   * Stores one item, in its place among what is written. Resolves when the broker has it. Rejects alone, without harm to the
   * stream: with `ERR_MILLRACE_INVALID_ITEM` or `ERR_MILLRACE_TOO_LARGE`, when `signal` is aborted, with
   * `ERR_MILLRACE_CLOSED` when the stream has ended or is destroyed; and with the stream's error where it fails as a whole.
   */
  async send(value: In | Delivery<In>, options?: SendOptions): Promise<void> {
    const sendChecks = { signal: abortSignal, delay: milliseconds };
    const { signal, delay } = withDefaults<SendOptions, object>(options, sendChecks, {});
    if (delay) requireSupport(this.#connection, 'delay', 'delay');
    signal?.throwIfAborted();
    if (!this.writable) throw this.#closedError();
    await new Promise<void>((resolve, reject) => {
      const settled = (error?: (Error & { code?: unknown }) | null): void => {
        signal?.removeEventListener('abort', abort);
        if (!error) resolve();
        else reject(error.code === 'ERR_STREAM_DESTROYED' ? this.#closedError() : error);
      };
      const write = new Write(value, settled, true, delay);
      const abort = (): void => {
        write.abandon();
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#write(write);
    });
  }

  /** As Node's; the callback comes when the item is stored, or with why it is not. */
  override write(chunk: unknown, callback?: (error: Error | null | undefined) => void): boolean;
  override write(
    chunk: unknown,
    encoding: BufferEncoding,
    callback?: (error: Error | null | undefined) => void,
  ): boolean;
  override write(chunk: unknown, encoding?: unknown, callback?: unknown): boolean {
    const done = typeof encoding === 'function' ? encoding : callback;
    if (typeof done !== 'function' || chunk === null) return this.#write(chunk);
    return this.#write(new Write(chunk, done as Callback, false));
  }

  /**
   * Ends the stream and resolves when all is stored. Rejects with the stream's error, and with `ERR_MILLRACE_TIMEOUT`, which
   * says how many items were not stored, when it takes too long. Safe to call twice.
   */
  close(options?: CloseOptions): Promise<void> {
    const timeout = closeTimeout(options);
    this.#closing ??= this.#close(timeout);
    return this.#closing;
  }

  /** {@link close}, with its default time limit. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  override _construct(callback: Callback): void {
    const { side, maxLength, producer } = this.#options;
    const open = async (): Promise<void> => {
      const connection = await this.#connection[internal].open(this, this.#destroying.signal);
      if (this.#connection[internal].supports().hops) this.#hopping = connection;
      this.#sender = connection.sender(this.#queue, { side, maxLength, producer });
    };
    open().then(() => callback(), callback);
  }

  override _write(chunk: unknown, _encoding: BufferEncoding, callback: Callback): void {
    this.#take([{ chunk }], callback);
  }

  override _writev(chunks: Chunk[], callback: Callback): void {
    this.#take(chunks, callback);
  }

  override _final(callback: Callback): void {
    this.#finish = callback;
    this.#flush();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#shutDown(error).then(() => callback(error));
  }

  /** Hands a write to Node, gathering those of one tick: without, batches of one and of many alternate. Deliveries come a turn long. */
  #write(write: unknown): boolean {
    if (this.writableLength === 0 && this.writableCorked === 0) {
      this.cork();
      if (shareIn(write)) setImmediate(() => this.uncork());
      else process.nextTick(() => this.uncork());
    }
    // Node's own callback comes when a write is accepted, which is too early; it is of use where a write never gets so far.
    if (write instanceof Write) return super.write(write, (error) => error && write.settle(error));
    return super.write(write);
  }

  #take(writes: readonly Chunk[], accept: Callback): void {
    this.#accept = accept;
    this.#writes = writes;
    this.#taken = 0;
    if (!this.#codec.validates) {
      this.#flush();
      return;
    }
    this.#validating = true;
    this.#validate(writes).then((validated) => {
      this.#validating = false;
      this.#writes = validated;
      this.#flush();
    });
  }

  /** The writes, where the schema refuses one replaced by its refusal, which waits for its turn. */
  #validate(writes: readonly Chunk[]): Promise<Chunk[]> {
    const check = async ({ chunk }: Chunk): Promise<Chunk> => {
      try {
        await this.#codec.validate(valueIn(chunk), valueIn(chunk));
        return { chunk };
      } catch (error) {
        return { chunk: new Refused(chunk, error as Error) };
      }
    };
    return Promise.all(writes.map(check));
  }

  /** Sends what there is as long as there is a command to spare, then takes more from Node, or finishes. */
  #flush(): void {
    if (this.destroyed || this.#validating) return;
    while (this.#commands < COMMANDS && !this.#refused) {
      const batch = this.#nextParts() ?? this.#nextBatch();
      if (batch) void this.#store(batch);
      else if (this.#taken >= this.#writes.length) break;
    }
    if (this.#refused) {
      if (this.#itemsOnTheirWay === 0) this.destroy(this.#refused.error);
      return;
    }
    if (this.#taken < this.#writes.length) return;
    if (this.#accept && this.#itemsOnTheirWay <= this.writableHighWaterMark / 2) this.#acceptMore();
    else if (this.#itemsOnTheirWay === 0 && this.#parts.size === 0) this.#finishOnce();
  }

  #finishOnce(): void {
    const finish = this.#finish;
    this.#finish = undefined;
    finish?.();
  }

  /** Lets Node hand over what it has gathered. */
  #acceptMore(): void {
    const accept = this.#accept;
    this.#accept = undefined;
    accept?.();
  }

  /** The next writes that fit into one command; nothing if all were refused, or wait for others. */
  #nextBatch(): Batch | undefined {
    let batch: Batch | undefined;
    const most = Math.min(COMMAND_ITEMS, Math.ceil(this.writableHighWaterMark / 2 / COMMANDS) || 1);
    while ((batch?.bodies.length ?? 0) < most && this.#taken < this.#writes.length) {
      const write = this.#writes[this.#taken]?.chunk;
      const body = this.#encoded ?? this.#encode(write);
      this.#encoded = undefined;
      if (body !== undefined) {
        const share = shareIn(write);
        const consumer = share?.isHeldBy(this.#hopping) ? share.receipt.consumer : undefined;
        const delay = this.#delayOf(write);
        if (share && consumer && share.receipt.open > 1 && !share.receipt.isScattered) {
          this.#parts.add({ write, body, share });
        } else {
          batch ??= new Batch(delay, consumer);
          if (!batch.take(body, delay, consumer)) {
            this.#encoded = body;
            break;
          }
          this.#note(batch, write, share);
        }
      }
      this.#taken += 1;
      if (this.#refused) break;
    }
    return batch;
  }

  /** The parts of a delivery that wait for no others, however many: they are stored in one step. */
  #nextParts(): Batch | undefined {
    const isLast = this.#finish !== undefined;
    for (let items = this.#parts.ready(isLast); items; items = this.#parts.ready(isLast)) {
      let batch: Batch | undefined;
      for (const item of items) {
        if (!this.#isAlive(item.write)) continue;
        batch ??= new Batch(this.#delayOf(item.write), item.share?.receipt.consumer);
        batch.bodies.push(item.body);
        this.#note(batch, item.write, item.share);
      }
      if (batch) return batch;
    }
    return undefined;
  }

  /** Notes what is to become of a write that is stored by a batch, and who wants to hear of it. */
  #note(batch: Batch, write: unknown, share: Share | undefined): void {
    if (share) {
      batch.hop ??= new Hop(this.#hopping);
      batch.hop.add(share);
    }
    if (share || write instanceof Write || this.listenerCount('pushed') > 0) batch.watched.push(write);
  }

  #delayOf(write: unknown): number {
    return (write instanceof Write ? write.delay : undefined) ?? this.#options.delay;
  }

  /** Whether a write is to be stored: not where it is a delivery that is not held any more. */
  #isAlive(write: unknown): boolean {
    const share = shareIn(write);
    if (!share || share.isOpen) return true;
    this.#lose(write, share);
    return false;
  }

  #lose(write: unknown, { receipt }: Share): void {
    settle(write, lost(receipt.holder.queue));
    process.nextTick(() => this.emit('lost', writtenIn(write)));
  }

  /** The bytes of a write, unless its writer has given it up or it is refused. */
  #encode(write: unknown): Body | undefined {
    if (write instanceof Refused) return this.#refuse(write.write, write.error);
    if (write instanceof Write && write.settled) return undefined;
    if (!this.#isAlive(write)) return undefined;
    try {
      if (this.#options.producer !== undefined && shareIn(write)) throw noDeliveries();
      return this.#codec.encode(valueIn(write));
    } catch (error) {
      return this.#refuse(write, error as Error);
    }
  }

  #refuse(write: unknown, error: Error): undefined {
    const alone = write instanceof Write && write.alone;
    if (alone || this.#options.invalid === 'skip') {
      settle(write, error);
      // A delivery that nobody will ever store is not held for ever.
      if (!alone) void shareIn(write)?.settle({ verb: 'reject', reason: error.message }, error);
      // In a tick of its own, as callbacks: what a listener throws shall not meet the batch that is being made.
      if (!alone) process.nextTick(() => this.emit('invalid', error));
    } else {
      this.#refused = new Refused(write, error);
    }
  }

  async #store({ bodies, watched, delay, hop }: Batch): Promise<void> {
    this.#commands += 1;
    this.#itemsOnTheirWay += bodies.length;
    let failure: Error | undefined;
    let stored = true;
    try {
      const settles = hop?.settles;
      stored = Boolean(await this.#sender?.send(bodies, settles ? { delay, settles } : { delay }));
      hop?.conclude(stored);
    } catch (error) {
      failure = error as Error;
      hop?.undo();
    }
    this.#commands -= 1;
    this.#itemsOnTheirWay -= bodies.length;
    if (!failure && !stored) for (const write of watched) this.#lose(write, shareIn(write) as Share);
    for (const write of watched) settle(write, failure);
    if (failure) {
      this.destroy(failure);
      return;
    }
    this.#flush();
    if (stored && this.listenerCount('pushed') > 0) for (const write of watched) this.emit('pushed', valueIn(write));
  }

  #closedError(): MillraceError {
    return new MillraceError('CLOSED', `The stream to queue "${this.#queue}" has ended, or was destroyed`);
  }

  /** How many items the broker is not known to have. */
  get #unstored(): number {
    return this.writableLength - (this.#accept ? this.#taken : 0) + this.#itemsOnTheirWay + this.#parts.size;
  }

  async #close(timeout: number): Promise<void> {
    const closed = whenClosed(this);
    // Whoever destroyed it has been told, or knows.
    if (this.destroyed) return closed;
    if (!this.writableEnded) this.end();
    this.#patience = reserve(timeout);
    await within(closed, timeout - this.#patience).catch(() => {
      const message = `${this.#unstored} items for queue "${this.#queue}" were not stored in time`;
      this.destroy(new MillraceError('TIMEOUT', message));
    });
    await closed;
    if (this.errored) throw this.errored;
  }

  /** Waits for what is on its way, and tells all others that they are not stored. */
  async #shutDown(error: Error | null): Promise<void> {
    this.#destroying.abort();
    if (this.#sender) await within(this.#sender.close(), this.#patience).catch(() => {});
    settle(this.#refused?.write, this.#refused?.error);
    const reason = error ?? this.#closedError();
    for (const { chunk } of this.#writes.slice(this.#taken)) {
      settle(chunk instanceof Refused ? chunk.write : chunk, reason);
    }
    for (const { write } of this.#parts.takeAll()) settle(write, reason);
    // Node tells those it still has.
    this.#acceptMore();
    this.#connection[internal].delete(this);
  }
}

function noDeliveries(): MillraceError {
  const message =
    'A stream with a producer name takes no deliveries: its numbers stand for a source that is written again';
  return new MillraceError('NOT_SUPPORTED', message);
}
