import { type CodecOption, codec } from './codec.ts';
import type { Connection } from './connect.ts';
import { abortSignal, integer, unchecked } from './options.ts';

/** What every stream takes. */
export interface StreamOptions {
  /** A URL, or what `connect()` gave. Default: the environment's `MILLRACE_URL`, else `redis://127.0.0.1:6379`. */
  connection?: string | Connection;
  /** A number of items, default 1024, for deliveries 4096. What it bounds stands at each stream. */
  highWaterMark?: number;
  /** Destroys the stream when it is aborted. */
  signal?: AbortSignal;
  /** How values become bytes: `'json'` (default), `'raw'` (bytes as they are), or one of your own. */
  codec?: CodecOption;
  /** The most bytes that one item may have; default 16 MiB. A larger one is invalid, at either end. */
  maxBytes?: number;
}

/** The checks of the options that every stream takes. */
export const streamChecks = {
  connection: unchecked,
  highWaterMark: integer(0),
  signal: abortSignal,
  codec,
  maxBytes: integer(1),
};

/** The defaults of the options that every stream takes. */
export const streamDefaults = {
  highWaterMark: 1024,
  codec: 'json',
  maxBytes: 16 * 1024 * 1024,
} as const satisfies StreamOptions;
