import type { StandardSchemaV1 } from '@standard-schema/spec';
import { Invalid, ItemCodec } from './codec.ts';
import { type Connection, connectionFor, internal, requireSupport } from './connect.ts';
import { Delivery, type Holder, Receipt, Share, shareOf } from './delivery.ts';
import {
  backoffOf,
  type DeadEvent,
  type DeliveryOptions,
  deliveryChecks,
  deliveryDefaults,
  type LostEvent,
  type RetryEvent,
} from './delivery-options.ts';
import type { Consumer, Held, Outcome } from './driver.ts';
import { MillraceError } from './errors.ts';
import { Fifo } from './fifo.ts';
import {
  CLOSE_TIMEOUT,
  type CloseOptions,
  checkQueueName,
  closeTimeout,
  type Filled,
  reserve,
  withDefaults,
} from './options.ts';
import { Pace } from './pace.ts';
import { Prefetch } from './prefetch.ts';
import { StreamIterator } from './stream-iterator.ts';
import { addAbortSignal, pushTo, Readable, whenClosed } from './streams.ts';
import { Deadline, within } from './timeout.ts';
import { Unsettled } from './unsettled.ts';

/** In how many parts the broker is asked for as many as may be held: one is on its way while the handlers have the others, settled or not. */
const PARTS = 4;

/** For how many turns of the event loop a paused stream, of which all is settled, goes on asking: a pipe is paused for as long. */
const MOMENT = 2;

/**
 * A Readable of {@link Delivery deliveries}: items of a queue that are held until they are settled, and never lost: at least once.
 *
 * - At most `highWaterMark` (default 4096, at least 1) are unsettled at a time, in the stream and in the hands of handlers together;
 *   each that is settled makes room for another. Of those it takes from the queue only as many ahead as are settled in about 10 ms,
 *   so that nobody else waits for them in vain. They do not count as `readableLength`.
 * - Who dies, or does not reach the broker for `leaseTimeout`, has what it held delivered again, to any other. Of that only what a
 *   handler may have seen counts as an attempt.
 * - {@link close}, `destroy()`, `break` out of `for await` and an abort put back what is not settled, as if it had not been taken.
 *   Having ended it stays open, and deliveries can be settled, as long as any is in somebody's hands.
 * - An item that codec, schema or `maxBytes` refuse, and `null`, which no object stream can carry, goes byte for byte to the
 *   queue's dead letters.
 *
 * Events beside a Readable's:
 * - `'ready'` when the broker answers
 * - `'retry'` with a {@link RetryEvent} when an attempt has failed, and the item is to come again
 * - `'dead'` with a {@link DeadEvent} when an item has gone to the dead letters, because it was rejected or its last attempt failed
 * - `'invalid'` with an error, whose `item` is the bytes, when an item has gone there because nobody can read it
 * - `'lost'` with a {@link LostEvent} when a delivery in somebody's hands is not held any more: others work on it. Its signal is
 *   aborted with `ERR_MILLRACE_LEASE_LOST`
 *
 * Fails with `ERR_MILLRACE_FENCED`, `ERR_MILLRACE_REFUSED`, `ERR_MILLRACE_NOT_SUPPORTED`. Warns once, with the code
 * `MILLRACE_UNSETTLED`, when all it may hold has been in somebody's hands for one `leaseTimeout`, and nothing was settled.
 *
 * @typeParam Out of the deliveries' values: the schema's output where there is one
 */
// biome-ignore lint/suspicious/noExplicitAny: what a user who names no type gets
export class DeliveryStream<Out = any> extends Readable {
  readonly #connection: Connection;
  readonly #queue: string;
  readonly #options: Filled<DeliveryOptions, typeof deliveryDefaults>;
  readonly #codec: ItemCodec;
  readonly #prefetch: Prefetch;
  readonly #pace = new Pace();
  readonly #holder: Holder;
  readonly #destroying = new AbortController();
  #consumer: Consumer | undefined;
  /** The ask under way. */
  #receiving: Promise<void> | undefined;
  /** The checks under way: those of an ask wait for those of the one before. */
  #validating: Promise<void> | undefined;
  /** How many items have arrived and are not decoded. */
  #undecoded = 0;
  /** What nobody has read. It is not left to Node, so that it can be put back while the stream goes on to its end. */
  readonly #unread = new Fifo<Receipt>();
  readonly #unsettled: Unsettled;
  /** How many had been settled up to the last turn. */
  #counted = 0;
  #turning = false;
  #paused = false;
  /** Whether Node has asked for a delivery and got none yet. */
  #wanted = false;
  /** Whether somebody has tried to read. */
  #sought = false;
  /** Whether whoever reads took all that came last, and wanted more at once. */
  #eager = false;
  #iterators = 0;
  #stopping = false;
  #idling = false;
  #closing: Promise<void> | undefined;
  #patience = CLOSE_TIMEOUT;

  /**
   * @param queue 1 to 128 letters, digits and any of `. _ : / -`
   * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE where name or options are wrong;
   *   ERR_MILLRACE_NOT_SUPPORTED where the broker knows no deliveries; ERR_MILLRACE_CLOSED where the connection is closed
   */
  // biome-ignore lint/suspicious/noExplicitAny: a schema takes what it takes
  constructor(queue: string, options?: DeliveryOptions & { schema?: StandardSchemaV1<any, Out> }) {
    checkQueueName(queue);
    const checked = withDefaults<DeliveryOptions & { schema?: StandardSchemaV1 }, typeof deliveryDefaults>(
      options,
      deliveryChecks,
      deliveryDefaults,
    );
    const connection = connectionFor(checked.connection);
    requireSupport(connection, 'deliveries', 'deliveries');
    if (checked.consumer !== undefined) requireSupport(connection, 'names', 'consumer');
    // It closes when all is settled, which may be long after it has ended.
    super({ objectMode: true, highWaterMark: 0, autoDestroy: false });
    this.#connection = connection;
    this.#queue = queue;
    this.#options = checked;
    this.#codec = new ItemCodec(checked);
    this.#prefetch = new Prefetch(checked.highWaterMark, PARTS);
    this.#holder = {
      queue,
      maxAttempts: checked.maxAttempts,
      backoff: backoffOf(checked.backoff, queue),
      freed: () => this.#freed(),
      unclaimed: (settled) => this.#unsettled.unclaim(settled),
      settled: (receipt, outcome, reason) => this.#settled(receipt, outcome, reason),
    };
    const isInUse = (): boolean => this.#ahead + this.readableLength === 0;
    this.#unsettled = new Unsettled(queue, checked.highWaterMark, checked.leaseTimeout, isInUse);
    connection[internal].add(this, 'pulling');
    if (checked.signal) addAbortSignal(checked.signal, this);
  }

  /**
   * Stops pulling, puts back what nobody has read, and ends. What is in somebody's hands may still be settled; when all is, or the
   * time is over, the stream is closed: what is left is put back then, and its signals are aborted with `ERR_MILLRACE_CLOSED`.
   * Resolves when the stream is closed. Safe to call twice.
   */
  close(options?: CloseOptions): Promise<void> {
    const timeout = closeTimeout(options);
    this.#closing ??= this.#close(timeout);
    return this.#closing;
  }

  /** Destroys the stream, and resolves when what it held is put back. */
  override async [Symbol.asyncDispose](): Promise<void> {
    const closed = whenClosed(this);
    this.destroy();
    await closed;
  }

  override [Symbol.asyncIterator](): NodeJS.AsyncIterator<Delivery<Out>> {
    this.#iterators += 1;
    return new StreamIterator<Delivery<Out>>(this);
  }

  /** As Node's; it takes nothing more from the queue unless somebody is at work. */
  override pause(): this {
    this.#paused = true;
    this.#eager = false;
    super.pause();
    this.#stopIdleAsk();
    return this;
  }

  override resume(): this {
    this.#paused = false;
    super.resume();
    // In a tick of its own, as Node has it: who resumes may be about to listen.
    process.nextTick(() => this.#flow());
    return this;
  }

  /** As Node's, but for a destroyed stream: it gives nothing any more, for what it held is on its way back. */
  override read(size?: number): Delivery<Out> | null {
    if (this.destroyed) return null;
    if (size !== 0) {
      this.#paused = false;
      this.#sought = true;
    }
    const delivery: Delivery<Out> | null = super.read(size);
    // Who listens to 'readable' and reads one wants to hear of the next. Our own iterator asks when it wants one.
    if (delivery !== null && this.listenerCount('readable') > this.#iterators) {
      process.nextTick(() => super.read(0));
    }
    return delivery;
  }

  override _construct(callback: (error?: Error | null) => void): void {
    const open = async (): Promise<void> => {
      const connection = await this.#connection[internal].open(this, this.#destroying.signal);
      const { leaseTimeout, maxAttempts } = this.#options;
      const onLost = (items: readonly Held[]): void => this.#lose(items);
      this.#consumer = connection.consumer(this.#queue, {
        name: this.#options.consumer,
        leaseTimeout,
        maxAttempts,
        methods: this.#options.methods,
        onLost,
      });
    };
    const opened = (): void => {
      callback();
      process.nextTick(() => {
        // Node does not come back to a read that came too early.
        if (this.#sought || this.listenerCount('readable') > 0) super.read(0);
        else this.#flow();
      });
    };
    open().then(opened, (error) => {
      this.destroy(error);
      callback();
    });
  }

  override _read(): void {
    this.#wanted = true;
    // What is pushed while Node reads goes through its buffer, and costs a tick each: who gets what comes as it comes gets it after that.
    if (!this.readableFlowing || this.#ahead === 0) this.#flow();
    else process.nextTick(() => this.#flow());
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#shutDown().then(() => {
      this.#connection[internal].delete(this);
      callback(error);
    });
  }

  /** Whether somebody waits for a delivery. As Node has it, a pause means nothing to who listens to 'readable'. */
  get #demanded(): boolean {
    if (this.readableFlowing) return true;
    return this.#wanted && (!this.#paused || this.listenerCount('readable') > 0);
  }

  /** How many are held that nobody has read. */
  get #ahead(): number {
    return this.#unread.size + this.#undecoded;
  }

  /** Hands out what there is, and asks for more. */
  #flow(): void {
    this.#handOutWanted();
    this.#ask();
  }

  /** Hands out what there is as long as somebody takes it. */
  #handOutWanted(): void {
    while (this.#unread.size > 0 && this.readableLength === 0 && this.#demanded && !this.#stopping && !this.destroyed) {
      this.#handOut(this.#unread.take() as Receipt);
    }
  }

  #handOut(receipt: Receipt): void {
    this.#wanted = false;
    pushTo(this, new Delivery(receipt.value, new Share(receipt)));
    this.#unsettled.watch();
  }

  /** Asks for items, unless that is under way, or there is nobody to work on them. */
  #ask(): void {
    if (!this.#consumer || this.#receiving || this.#stopping || this.destroyed) return;
    const max = this.#wish();
    if (max > 0) this.#receiving = this.#receive(this.#consumer, max);
  }

  /** How many items to ask for now. */
  #wish(): number {
    const { size, room } = this.#unsettled;
    if (room <= 0) return 0;
    const fits = this.#prefetch.next(size);
    const ahead = this.#ahead;
    const pace = this.#pace.items;
    if (ahead === 0 && this.#demanded) return Math.min(fits || room, this.#eager ? room : Math.max(1, pace));
    return this.#isIdle ? 0 : Math.min(fits, this.#pace.room(ahead));
  }

  /** Whether it is paused and nobody is at work on a delivery. A pipe pauses it, too, while its handlers have enough. */
  get #isIdle(): boolean {
    return this.#paused && this.#unsettled.size <= this.#ahead && this.listenerCount('readable') === 0;
  }

  /** Stops an ask that nobody wants, unless somebody does in a moment. */
  #stopIdling(patience: number): void {
    this.#idling = patience > 0;
    if (patience > 0) setImmediate(() => this.#stopIdling(patience - 1));
    else this.#stopIdleAsk();
  }

  #stopIdleAsk(): void {
    if (this.#receiving && this.#isIdle) this.#consumer?.cancel();
  }

  async #receive(consumer: Consumer, max: number): Promise<void> {
    let items: readonly Held[];
    try {
      // Who took the last at once, and has nothing more to do, takes the next at once.
      items = await consumer.receive(max, this.#eager && this.#unsettled.size === 0);
    } catch (error) {
      this.destroy(error as Error);
      return;
    } finally {
      this.#receiving = undefined;
    }
    // What comes to a destroyed stream is put back with all the rest.
    if (!this.destroyed) this.#arrive(items, consumer, max);
  }

  #arrive(items: readonly Held[], consumer: Consumer, max: number): void {
    const bytes = items.map((held) => held.bytes);
    const receipts = items.map((held) => new Receipt(held, consumer, this.#holder));
    this.#prefetch.received(max, bytes);
    this.#unsettled.add(receipts);
    this.#undecoded += items.length;
    // The next ask goes out as soon as there is room for it: so the broker works while the handlers do. Behind a single one it waits
    // for what its handler does at once: so that goes along, and need not wait for an answer.
    if (items.length > 1) this.#ask();
    else this.#turnSoon();
    if (this.#codec.validates) {
      const before = this.#validating;
      this.#validating = this.#admitValid(receipts, before);
      return;
    }
    const values = this.#codec.decode(bytes);
    for (let index = 0; index < receipts.length; index += 1) {
      const receipt = receipts[index] as Receipt;
      this.#admit(receipt, carriedBy(receipt.held, values[index]));
    }
    this.#deliver();
  }

  /** Lets in what has arrived, one after the other, as the schema lets it pass. */
  async #admitValid(receipts: readonly Receipt[], before: Promise<void> | undefined): Promise<void> {
    await before;
    for (const receipt of receipts) {
      // What is put back in the end is not worth a check.
      this.#admit(receipt, this.#stopping ? undefined : await this.#codec.decodeValid(receipt.held.bytes));
      this.#deliver();
    }
  }

  #admit(receipt: Receipt, value: unknown): void {
    this.#undecoded -= 1;
    receipt.value = value;
    if (value instanceof Invalid) void receipt.settle({ verb: 'reject', reason: value.error.message });
    else if (receipt.isHeld) this.#unread.add(receipt);
  }

  /** Hands out what has just come, and notes whether that was too little. */
  #deliver(): void {
    this.#handOutWanted();
    this.#eager = this.#ahead === 0 && this.#demanded;
    if (!this.#turning) this.#ask();
  }

  /** What is settled makes room: those of a turn together, so that one ask goes with them. */
  #freed(): void {
    this.#unsettled.free();
    this.#turnSoon();
  }

  #turnSoon(): void {
    if (this.#turning) return;
    this.#turning = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    this.#turning = false;
    const { settlements } = this.#unsettled;
    this.#pace.add(settlements - this.#counted);
    this.#counted = settlements;
    this.#ask();
    if (this.#receiving && this.#isIdle && !this.#idling) this.#stopIdling(MOMENT);
    this.#unsettled.check();
  }

  /** Tells what the broker has done with an item that was not acknowledged. */
  #settled(receipt: Receipt, outcome: Outcome, reason: unknown): void {
    const { value } = receipt;
    const { attempt } = receipt.held;
    if (value instanceof Invalid) this.#tell('invalid', value.error);
    else if (outcome.verb === 'reject') this.#tell('dead', { value, attempt, reason } satisfies DeadEvent);
    else if (outcome.verb === 'retry') {
      this.#tell('retry', { value, attempt, reason, delay: outcome.delay } satisfies RetryEvent);
    }
  }

  #lose(items: readonly Held[]): void {
    const unread = new Set(this.#unread);
    for (const { owner, attempt } of items) {
      if (!(owner instanceof Receipt) || owner.isOver) continue;
      owner.lose(new MillraceError('LEASE_LOST', `A delivery of queue "${this.#queue}" is not held any more`));
      const { value } = owner;
      if (value !== undefined && !unread.has(owner)) this.#tell('lost', { value, attempt } satisfies LostEvent);
    }
    for (const receipt of this.#unread.empty()) if (receipt.isHeld) this.#unread.add(receipt);
  }

  /** Emits an event, in a tick of its own: what a listener throws shall not meet anybody else. */
  #tell(event: string, about: unknown): void {
    process.nextTick(() => this.emit(event, about));
  }

  async #close(timeout: number): Promise<void> {
    if (this.closed) return;
    const closed = whenClosed(this);
    if (!this.destroyed) {
      this.#patience = reserve(timeout);
      await within(Promise.race([this.#drain(), closed]), timeout - this.#patience).catch(() => {});
      this.destroy();
    }
    await closed;
  }

  /** Takes no more, puts back what nobody has read, ends, and resolves when all is settled. */
  async #drain(): Promise<void> {
    this.#stopping = true;
    this.#consumer?.cancel();
    await this.#receiving;
    await this.#validating;
    if (this.destroyed) return;
    for (const receipt of this.#unread.empty()) void receipt.settle({ verb: 'release' });
    await this.#end();
    await this.#unsettled.none();
  }

  /** Ends the stream, though nobody may be reading. */
  async #end(): Promise<void> {
    if (!this.readableFlowing) {
      for (let left = super.read(); left !== null; left = super.read()) void shareOf(left)?.settle({ verb: 'release' });
    }
    const ended = new Promise((resolve) => this.once('end', resolve));
    this.push(null);
    super.read(0);
    await ended;
  }

  /** Stops the ask under way, aborts what is in anybody's hands, and puts back all that is not settled. */
  async #shutDown(): Promise<void> {
    const deadline = new Deadline(this.#patience);
    this.#destroying.abort();
    this.#unsettled.lose(new MillraceError('CLOSED', `The stream of queue "${this.#queue}" is closed`));
    // What can't be put back in time is delivered to others when the lease has ended.
    const giveUp = new AbortController();
    if (this.#consumer) await within(this.#consumer.close(giveUp.signal), deadline.left).catch(() => giveUp.abort());
    await within(Promise.resolve(this.#receiving), deadline.left).catch(() => {});
  }
}

/** What an item says. What a request asks with may be nothing, or null: a delivery can carry that. */
function carriedBy({ request, bytes }: Held, decoded: unknown): unknown {
  if (!request || !(decoded instanceof Invalid)) return decoded;
  if (bytes.length === 0) return undefined;
  return bytes.equals(NULL) ? null : decoded;
}

const NULL = Buffer.from('null');
