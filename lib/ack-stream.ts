import { releaseBuffered } from './buffers.ts';
import type { Delivery } from './delivery.ts';
import { type HandleOptions, type Handler, Handling, handler as handlerCheck, retry } from './handling.ts';
import { Writable, whenClosed } from './streams.ts';

type Callback = (error?: Error | null) => void;

/**
 * A Writable of deliveries, the end of a pipe: it runs a handler on each, `concurrency` at a time.
 *
 * - A delivery is acknowledged when its handler has returned, or what it returned is fulfilled; retried when it throws or rejects,
 *   and when its `timeout` is over. A handler that settles its delivery itself has the say.
 * - Without a handler each delivery is acknowledged as it comes.
 * - It takes no delivery before a handler is free to work on it. `'finish'` comes when all handlers are over and the broker has
 *   answered to all that was settled.
 * - When it is destroyed the signals of the handlers that run are aborted, and their deliveries put back.
 *
 * Fails with `ERR_INVALID_ARG_TYPE` when something else than a delivery is written.
 *
 * @typeParam T of the deliveries' values
 */
// biome-ignore lint/suspicious/noExplicitAny: what a user who names no type gets
export class AckStream<T = any> extends Writable {
  readonly #handling: Handling;

  /** @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE where handler or options are wrong */
  constructor(handler?: Handler<T, unknown> | null, options?: HandleOptions) {
    const work = handler ?? undefined;
    if (work !== undefined) handlerCheck(work, 'handler');
    const handling = new Handling(work, options, {
      fulfilled: (delivery) => void delivery.ack(),
      failed: retry,
      hasRoom: () => true,
    });
    // What waited here would wait for one handler, while another stream might have one free.
    super({ objectMode: true, highWaterMark: 1 });
    this.#handling = handling;
  }

  /** As Node's, but for its answer: false only when no handler is free. */
  override write(chunk: unknown, callback?: (error: Error | null | undefined) => void): boolean;
  override write(
    chunk: unknown,
    encoding: BufferEncoding,
    callback?: (error: Error | null | undefined) => void,
  ): boolean;
  override write(chunk: unknown, encoding?: unknown, callback?: unknown): boolean {
    const more = super.write(chunk, encoding as BufferEncoding, callback as never);
    return more || (this.writable && this.writableLength === 0);
  }

  /** Ends the stream and resolves when it is closed: handlers are over, and all is settled. Rejects with the stream's error. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = whenClosed(this);
    if (!this.destroyed && !this.writableEnded) this.end();
    await closed;
    if (this.errored) throw this.errored;
  }

  override _write(delivery: Delivery<T>, _encoding: BufferEncoding, callback: Callback): void {
    this.#handling.take(delivery, callback);
  }

  override _final(callback: Callback): void {
    this.#handling.whenIdle(callback);
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#handling.giveUp();
    releaseBuffered(this);
    callback(error);
  }
}
