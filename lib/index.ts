export type { Codec } from './codec.ts';
export { type Connection, type ConnectOptions, connect, registerDriver } from './connect.ts';
export { type Code, MillraceError } from './errors.ts';
export type { CloseOptions } from './options.ts';
export { type PullOptions, PullStream } from './pull-stream.ts';
export { type PushOptions, PushStream, type SendOptions } from './push-stream.ts';
export type { StreamOptions } from './stream-options.ts';
