import type { StandardSchemaV1 } from '@standard-schema/spec';
import { AckStream } from './ack-stream.ts';
import { connectionFor, requireSupport } from './connect.ts';
import type { DeliveryOptions } from './delivery-options.ts';
import { DeliveryStream } from './delivery-stream.ts';
import { invalidType } from './errors.ts';
import { type HandleOptions, type Handler, handleOptions, handler as handlerCheck } from './handling.ts';
import { checkQueueName } from './options.ts';
import { type PushOptions, PushStream } from './push-stream.ts';
import { heldFor, PipedService, type Service } from './service.ts';
import { WorkTransform } from './work-transform.ts';

/** The options of {@link work}. */
export interface WorkOptions extends DeliveryOptions, HandleOptions {
  /**
   * A queue on the same connection, for the handler's results. An item whose result cannot be stored, as `undefined` cannot, goes to the
   * dead letters. Default: none, results are dropped.
   */
  to?: string;
}

/**
 * Runs a handler on the items of a queue, `concurrency` at a time, each settled by its own outcome, until the service is closed: a
 * `DeliveryStream` piped into an `AckStream`; with `to` into a `WorkTransform`, and that into a `PushStream` of that queue, which
 * stores each result in the step that settles what it was made of.
 *
 * It takes the options of all of these. `highWaterMark` is at least twice the `concurrency` where it is not given.
 *
 * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE where name, handler or options are wrong;
 *   ERR_MILLRACE_NOT_SUPPORTED where the broker can't do what they ask; ERR_MILLRACE_CLOSED where the connection is closed
 */
// biome-ignore lint/suspicious/noExplicitAny: what a user who names no type gets
export function work<T = any>(
  queue: string,
  handler: Handler<T, unknown>,
  // biome-ignore lint/suspicious/noExplicitAny: a schema takes what it takes
  options: WorkOptions & { schema?: StandardSchemaV1<any, T> } = {},
): Service {
  if (typeof options !== 'object' || options === null) throw invalidType('options', 'of type object', options);
  const { concurrency, timeout, to, ...pulling } = options;
  handlerCheck(handler, 'handler');
  const handling = handleOptions({ concurrency, timeout } as HandleOptions);
  const { connection, codec, maxBytes } = pulling;
  if (to !== undefined) {
    checkQueueName(to);
    requireSupport(connectionFor(connection), 'hops', 'hops');
  }
  const stream = new DeliveryStream<T>(queue, {
    ...pulling,
    highWaterMark: pulling.highWaterMark ?? heldFor(handling.concurrency),
  });
  if (to === undefined) return new PipedService(stream, [new AckStream<T>(handler, handling)]);
  // A result that can't be stored costs its own item, not the service.
  const results = new PushStream(to, { connection, codec, maxBytes, invalid: 'skip' } as PushOptions);
  return new PipedService(stream, [new WorkTransform(handler, handling), results]);
}
