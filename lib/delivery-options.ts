import { schema } from './codec.ts';
import { invalidType } from './errors.ts';
import { type Check, integer, LONGEST_TIMER, milliseconds, name } from './options.ts';
import { type StreamOptions, streamChecks, streamDefaults } from './stream-options.ts';

/** The options of a `DeliveryStream`. */
export interface DeliveryOptions extends StreamOptions {
  /**
   * Who holds the deliveries: a name as a queue's. Who starts under the name of another takes over from it at once: what that one
   * held is delivered again, and its stream fails with `ERR_MILLRACE_FENCED`. Default: a random one.
   */
  consumer?: string;
  /**
   * The methods of the requests that are taken, for a broker that has those of each in a queue of their own, as Gearman has: without, none
   * that name a method. Elsewhere requests of all methods are taken. Default: none; `serve()` names those of its handlers.
   */
  methods?: readonly string[];
  /**
   * Milliseconds, at least 100, without a sign of life after which others get what this stream holds; default 30,000. The stream
   * gives signs of life by itself, however long a handler takes: it is a process that dies, hangs or is cut off that loses its lease.
   */
  leaseTimeout?: number;
  /** How often an item is tried, from 1; default 5. When the last attempt has failed it goes to the dead letters. */
  maxAttempts?: number;
  /**
   * Milliseconds to wait after an attempt that failed: a number, or what a function gives for the number of that attempt, from 1.
   * Default: one second after the first, each time twice as long, at most five minutes. Where the function throws, or gives no time,
   * the default applies, and a warning says so.
   */
  backoff?: number | ((attempt: number) => number);
}

/** What a `'lost'` event bears. */
export interface LostEvent<T = unknown> {
  readonly value: T;
  /** Which attempt it was, from 1. */
  readonly attempt: number;
}

/** What a `'dead'` event bears. */
export interface DeadEvent<T = unknown> extends LostEvent<T> {
  /** What `reject()` was given, or the last `retry()`. */
  readonly reason: unknown;
}

/** What a `'retry'` event bears. */
export interface RetryEvent<T = unknown> extends DeadEvent<T> {
  /** Milliseconds until it is delivered again. */
  readonly delay: number;
}

const backoff: Check = (value, name) => {
  if (typeof value === 'number') milliseconds(value, name);
  else if (typeof value !== 'function') throw invalidType(name, 'of type number or function', value);
};

const methods: Check = (value, name) => {
  if (!Array.isArray(value)) throw invalidType(name, 'an array of the names of methods', value);
  for (const [index, one] of value.entries()) {
    if (typeof one !== 'string') throw invalidType(`${name}.${index}`, 'of type string', one);
  }
};

/** The default back-off: from one second, doubling, to five minutes. */
function doubling(attempt: number): number {
  return Math.min(1000 * 2 ** (attempt - 1), 5 * 60_000);
}

/**
 * How long to wait after an attempt, from 1, as the option says it, in milliseconds. Where that fails it is the default, and a warning,
 * with the code `MILLRACE_BACKOFF`, says so once.
 */
export function backoffOf(backoff: number | ((attempt: number) => number), queue: string): (attempt: number) => number {
  if (typeof backoff === 'number') return () => backoff;
  let hasWarned = false;
  return (attempt) => {
    try {
      const delay: unknown = backoff(attempt);
      const rounded = typeof delay === 'number' ? Math.round(delay) : delay;
      milliseconds(rounded, 'options.backoff()');
      return rounded as number;
    } catch (error) {
      const message = `The backoff option of the stream of queue "${queue}" failed: ${error}`;
      if (!hasWarned) process.emitWarning(message, { code: 'MILLRACE_BACKOFF' });
      hasWarned = true;
      return doubling(attempt);
    }
  };
}

/** The checks of the options, the schema's among them. */
export const deliveryChecks = {
  ...streamChecks,
  // With none, nothing could ever be in anybody's hands.
  highWaterMark: integer(1),
  consumer: name,
  methods,
  leaseTimeout: integer(100, LONGEST_TIMER),
  maxAttempts: integer(1),
  backoff,
  schema,
};

/** The defaults of the options. */
export const deliveryDefaults = {
  ...streamDefaults,
  // Its pace bounds what it holds long before: what matters is that the fastest do not wait for their settlements.
  highWaterMark: 4096,
  leaseTimeout: 30_000,
  maxAttempts: 5,
  backoff: doubling,
} as const satisfies DeliveryOptions;
