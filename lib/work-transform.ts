import { releaseBuffered } from './buffers.ts';
import type { Delivery } from './delivery.ts';
import {
  type HandleOptions,
  type Handler,
  Handling,
  handleOptions,
  handler as handlerCheck,
  retry,
} from './handling.ts';
import { HandlingTransform } from './handling-transform.ts';

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
export class WorkTransform<T = any, U = any> extends HandlingTransform {
  /** @internal */
  protected override readonly handling: Handling;

  /** @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE where handler or options are wrong */
  constructor(handler: Handler<T, U>, options?: HandleOptions) {
    handlerCheck(handler, 'handler');
    const { concurrency } = handleOptions(options);
    super({ objectMode: true, writableHighWaterMark: 1, readableHighWaterMark: concurrency });
    this.handling = new Handling(handler, options, {
      fulfilled: (delivery, result) => this.pass(delivery.with(result)),
      failed: retry,
      hasRoom: () => this.room,
    });
  }

  override _transform(delivery: Delivery<T>, _encoding: BufferEncoding, callback: Callback): void {
    this.handling.take(delivery, callback);
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.handling.giveUp();
    releaseBuffered(this);
    callback(error);
  }
}
