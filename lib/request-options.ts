import { invalidType, invalidValue } from './errors.ts';
import { abortSignal, type Check, type Filled, integer, LONGEST_TIMER } from './options.ts';

/** How a request is made. */
export interface RequestOptions {
  /** Milliseconds, at least 1, until it fails with `ERR_MILLRACE_TIMEOUT`, and nobody begins to work on it any more; default 30,000. */
  timeout?: number;
  /**
   * Milliseconds, at least 1, after which it fails with `ERR_MILLRACE_NO_CONSUMER` if it is not answered and its queue has no consumer
   * at that moment. Default: none, it waits for one.
   */
  consumerTimeout?: number;
  /** Gives it up when it is aborted. */
  signal?: AbortSignal;
  /** What goes along with it, for whoever works on it. Default: nothing. */
  headers?: Readonly<Record<string, string>>;
  /** Called with how much is done, and of how much, when whoever works on it says so by {@link Request.progress}. Not all is heard. */
  onProgress?: (done: number, total: number) => void;
}

const headers: Check = (value, name) => {
  if (!isPlain(value)) throw invalidType(name, 'a plain object of strings', value);
  for (const [key, one] of Object.entries(value)) {
    if (typeof one !== 'string') throw invalidType(`${name}.${key}`, 'of type string', one);
  }
};

function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** The checks of {@link RequestOptions}. */
export const requestChecks = {
  timeout: integer(1, LONGEST_TIMER),
  consumerTimeout: integer(1, LONGEST_TIMER),
  signal: abortSignal,
  headers,
  onProgress: (value: unknown, name: string) => {
    if (typeof value !== 'function') throw invalidType(name, 'of type function', value);
  },
};

/** The defaults of {@link RequestOptions}. */
export const requestDefaults = { timeout: 30_000 } as const satisfies RequestOptions;

/** The name of a method: any text but none. */
export const method: Check = (value, name) => {
  if (typeof value !== 'string') throw invalidType(name, 'of type string', value);
  if (value === '') throw invalidValue(name, 'the name of a method', value);
};

/** The options of a request, as they are used: many requests may share them. */
export interface Terms {
  readonly timeout: number;
  readonly consumerTimeout: number | undefined;
  readonly signal: AbortSignal | undefined;
  /** In JSON. */
  readonly headers: string | undefined;
  readonly onProgress: RequestOptions['onProgress'];
}

/** The terms that options mean. */
export function termsOf(options: Filled<RequestOptions, typeof requestDefaults>): Terms {
  return {
    timeout: options.timeout,
    consumerTimeout: options.consumerTimeout,
    signal: options.signal,
    headers: options.headers && JSON.stringify(options.headers),
    onProgress: options.onProgress,
  };
}
