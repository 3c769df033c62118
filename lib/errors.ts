import { inspect } from 'node:util';

/** What went wrong, one word each. A user sees it as `ERR_MILLRACE_` and the word. */
const CODES = {
  /** The broker could not be reached in time, or went away for good: what was asked may be asked again. */
  CONNECTION: { retryable: true },
  /** The stream or the connection had been closed. */
  CLOSED: { retryable: false },
  /** Something did not end within its time limit. */
  TIMEOUT: { retryable: true },
  /** The broker refused, and will refuse again: wrong type, wrong password, no permission. `cause` is its answer. */
  REFUSED: { retryable: false },
  /** An item that codec or schema refuses, or that no object stream can carry. */
  INVALID_ITEM: { retryable: false },
  /** An item of more bytes than `maxBytes`. */
  TOO_LARGE: { retryable: false },
  /** A delivery is not held any more, or was settled before: nothing was stored for it. */
  LEASE_LOST: { retryable: false },
  /** Another process has started as a consumer of the same name. */
  FENCED: { retryable: false },
  /** Whoever worked on a request has failed. `remote` says how. */
  REMOTE: { retryable: false },
  /** Whoever answers the requests of a queue knows no such method. */
  NO_METHOD: { retryable: false },
  /** Nobody is there to work on a request. */
  NO_CONSUMER: { retryable: true },
  /** A request has become a dead letter, and will not be worked on any more. */
  DEAD_LETTER: { retryable: false },
  /** Whoever answered a request in parts has gone, or given up, after some of them. */
  INTERRUPTED: { retryable: true },
  /** The broker, or its version, cannot do what was asked. */
  NOT_SUPPORTED: { retryable: false },
} as const satisfies Record<string, { retryable: boolean }>;

/** What is said of an error over the wire. */
export interface RemoteError {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  /** Only where the other end gives it. */
  readonly stack?: string;
}

/** The part of an error's code behind `ERR_MILLRACE_`. */
export type Code = keyof typeof CODES;

/**
 * The one error class of this package. Arguments that are wrong are reported by Node's own codes instead
 * (`ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`).
 */
export class MillraceError extends Error {
  /** `ERR_MILLRACE_` and one of the words of {@link Code}. */
  readonly code: `ERR_MILLRACE_${Code}`;
  /** Whether the same call may succeed later without any change. */
  readonly retryable: boolean;
  /** The item that was refused, where it was one: the value at a push, the stored bytes at a pull. */
  readonly item?: unknown;
  /** What was said at the other end, where it was that which failed. */
  readonly remote?: RemoteError;

  /** For drivers: whatever a stream or a connection reports is made here. */
  constructor(code: Code, message: string, options: { cause?: unknown; item?: unknown; remote?: RemoteError } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.name = 'MillraceError';
    this.code = `ERR_MILLRACE_${code}`;
    this.retryable = CODES[code].retryable;
    if ('item' in options) this.item = options.item;
    if (options.remote) this.remote = options.remote;
  }
}

/** The text of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

function shown(value: unknown): string {
  return inspect(value, { depth: 0, maxStringLength: 100, breakLength: Infinity });
}

/** Node's error for an argument of the wrong type. */
export function invalidType(name: string, allowed: string, received: unknown): TypeError {
  const error = new TypeError(`The "${name}" ${kindOf(name)} must be ${allowed}. Received ${shown(received)}`);
  return Object.assign(error, { code: 'ERR_INVALID_ARG_TYPE' });
}

/** Node's error for an argument of the right type and a value that is not allowed. */
export function invalidValue(name: string, allowed: string, received: unknown): TypeError {
  const error = new TypeError(`The "${name}" ${kindOf(name)} must be ${allowed}. Received ${shown(received)}`);
  return Object.assign(error, { code: 'ERR_INVALID_ARG_VALUE' });
}

/** Node's error for a number out of its range. */
export function outOfRange(name: string, allowed: string, received: unknown): RangeError {
  const error = new RangeError(
    `The value of "${name}" is out of range. It must be ${allowed}. Received ${shown(received)}`,
  );
  return Object.assign(error, { code: 'ERR_OUT_OF_RANGE' });
}

function kindOf(name: string): string {
  return name.includes('.') ? 'property' : 'argument';
}
