import {
  type Contract,
  type ContractOption,
  contractCheck,
  type Handlers,
  methodsOf,
  type Untyped,
} from './contract.ts';
import { type DeliveryOptions, deliveryChecks } from './delivery-options.ts';
import { DeliveryStream } from './delivery-stream.ts';
import { handleChecks, handleDefaults } from './handling.ts';
import type { RequestHandler } from './methods.ts';
import { withDefaults, yesOrNo } from './options.ts';
import { type ReplyOptions, ReplyTransform } from './reply-transform.ts';
import { heldFor, PipedService, type Service } from './service.ts';

/** The options of {@link serve}. `maxBytes` bounds requests and replies. */
export interface ServeOptions
  extends Omit<DeliveryOptions, 'codec'>,
    Pick<ReplyOptions, 'concurrency' | 'timeout' | 'stack'> {}

const { codec: _codec, schema: _schema, ...deliveries } = deliveryChecks;
const checks = { ...deliveries, ...handleChecks, stack: yesOrNo, contract: contractCheck };

/**
 * Answers the requests of a queue, `concurrency` at a time, until the service is closed: a `DeliveryStream` piped into a
 * {@link ReplyTransform}, of which it takes the options. `highWaterMark` is at least twice the `concurrency` where it is not given.
 *
 * When it is closed the handlers that run are finished and their requests answered; all others stay in the queue.
 *
 * @param handlers by method, of which an object's own properties count, and which must be those of the contract; or one for all
 * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE where name, handlers or options are wrong;
 *   ERR_MILLRACE_NOT_SUPPORTED where the broker knows no requests; ERR_MILLRACE_CLOSED where the connection is closed
 * @typeParam C the methods, where they are known: an interface of functions, or those of the contract
 */
export function serve<C extends Contract<C> = Untyped>(
  queue: string,
  // biome-ignore lint/suspicious/noExplicitAny: one for all takes what comes
  handlers: NoInfer<Handlers<C>> | RequestHandler<any, unknown>,
  options?: ServeOptions & ContractOption<C>,
): Service {
  const checked = withDefaults<ServeOptions & ContractOption<C>, typeof handleDefaults>(
    options,
    checks,
    handleDefaults,
  );
  const { concurrency, timeout, stack, contract, ...pulling } = checked;
  const { connection, maxBytes } = pulling;
  const replying = { concurrency, timeout, stack, connection, maxBytes, contract };
  const replies = new ReplyTransform<C>(handlers, replying as ReplyOptions & ContractOption<C>);
  const highWaterMark = pulling.highWaterMark ?? heldFor(concurrency);
  const methods = pulling.methods ?? (contract ? methodsOf(contract).names : Object.keys(handlers));
  const stream = new DeliveryStream(queue, { ...pulling, highWaterMark, methods });
  return new PipedService(stream, [replies]);
}
