import type { Delivery } from './delivery.ts';
import {
  type HandleOptions,
  type Handler,
  Handling,
  handleOptions,
  handler as handlerCheck,
  retry,
} from './handling.ts';
import { Transform } from './streams.ts';

type Callback = (error?: Error | null) => void;

/**
 * A Transform of deliveries: it runs a handler on each, `concurrency` at a time, and passes on `delivery.with(result)`: the result
 * under the receipt of what it was made of, in the order in which handlers finish. Whoever comes next settles it, as a `PushStream`
 * does in the step that stores it.
 *
 * - A delivery is retried, and not passed on, when its handler throws or rejects, and when its `timeout` is over; the others go on.
 *   A handler that settles its delivery itself has the say: nothing is passed on.
 * - No handler starts while `concurrency` results wait to be read.
 * - It ends when all handlers are over.
 * - When it is destroyed the signals of the handlers that run are aborted, and their deliveries put back.
 *
 * Fails with `ERR_INVALID_ARG_TYPE` when something else than a delivery is written.
 *
 * @typeParam T of the values that come in
 * @typeParam U of the values that go out
 */
// biome-ignore lint/suspicious/noExplicitAny: what a user who names no type gets
export class WorkTransform<T = any, U = any> extends Transform {
  readonly #handling: Handling;
  /** Whether Node would take more results. */
  #room = true;

  /** @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE where handler or options are wrong */
  constructor(handler: Handler<T, U>, options?: HandleOptions) {
    handlerCheck(handler, 'handler');
    const { concurrency } = handleOptions(options);
    super({ objectMode: true, writableHighWaterMark: 1, readableHighWaterMark: concurrency });
    this.#handling = new Handling(handler, options, {
      fulfilled: (delivery, result) => this.#pass(delivery, result),
      failed: retry,
      hasRoom: () => this.#room,
    });
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

  override _transform(delivery: Delivery<T>, _encoding: BufferEncoding, callback: Callback): void {
    this.#handling.take(delivery, callback);
  }

  override _flush(callback: Callback): void {
    this.#handling.whenIdle(callback);
  }

  override _read(size: number): void {
    this.#room = true;
    this.#handling.next();
    // Behind that: Node holds back the callback of a write as long as its own rules say, and here it is to let go of it.
    super._read(size);
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#handling.giveUp();
    callback(error);
  }

  #pass(delivery: Delivery, result: unknown): void {
    try {
      this.#room = this.push(delivery.with(result));
    } catch (error) {
      // A listener threw: that is its owner's, and shall not cost the deliveries behind.
      process.nextTick(() => {
        throw error;
      });
    }
  }
}
