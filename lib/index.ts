export { AckStream } from './ack-stream.ts';
export type { Codec } from './codec.ts';
export { type Connection, type ConnectOptions, connect, registerDriver } from './connect.ts';
export { DeadLetter, type DeadLetterStream } from './dead-letters.ts';
export type { Delivery, RetryOptions } from './delivery.ts';
export {
  type DeadEvent,
  type DeliveryOptions,
  DeliveryStream,
  type LostEvent,
  type RetryEvent,
} from './delivery-stream.ts';
export type { ConsumerInfo, QueueInfo } from './driver.ts';
export { type Code, MillraceError } from './errors.ts';
export type { HandleOptions, Handler } from './handling.ts';
export type { CloseOptions } from './options.ts';
export { type PullOptions, PullStream } from './pull-stream.ts';
export { type PushOptions, PushStream, type SendOptions } from './push-stream.ts';
export type { StreamOptions } from './stream-options.ts';
export { type Service, type WorkOptions, work } from './work.ts';
export { WorkTransform } from './work-transform.ts';
