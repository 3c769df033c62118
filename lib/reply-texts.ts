import { MillraceError, messageOf, type RemoteError } from './errors.ts';
import { endText, failureText, type PartPacket, partText, remoteErrorOf, replyText } from './packet.ts';
import { checkSize } from './size.ts';

/** What a handler's result becomes when all its parts have been sent. */
export class PartsSent {
  readonly count: number;

  constructor(count: number) {
    this.count = count;
  }
}

/** What goes over the wire in answer to a request. */
export class ReplyTexts {
  readonly #maxBytes: number;
  readonly #withStack: boolean;

  /** @param options `stack`: whether requesters are told the stack of what was thrown */
  constructor({ maxBytes, stack }: { maxBytes: number; stack: boolean }) {
    this.#maxBytes = maxBytes;
    this.#withStack = stack;
  }

  /** The reply with a result. Throws `ERR_MILLRACE_INVALID_ITEM`, `ERR_MILLRACE_TOO_LARGE`, `ERR_MILLRACE_NOT_SUPPORTED`. */
  ofResult(id: string, result: unknown): string {
    const text = textOf(id, result);
    checkSize('A reply', text, this.#maxBytes);
    return text;
  }

  /** A part of a reply. Throws `ERR_MILLRACE_INVALID_ITEM`, `ERR_MILLRACE_TOO_LARGE`. */
  ofPart(part: PartPacket): string {
    const { data } = part;
    if (data === undefined || data === null) {
      throw new MillraceError('INVALID_ITEM', `Invalid part: ${data}, which no object stream can carry`, {
        item: data,
      });
    }
    const text = jsonOf(data, 'part', () => partText(part));
    checkSize('A reply', text, this.#maxBytes);
    return text;
  }

  /** The reply with an error. One that is too large gives way to one that says so. */
  ofFailure(id: string, thrown: unknown): string {
    const text = failureText(id, remote(thrown, this.#withStack));
    try {
      checkSize('A reply', text, this.#maxBytes);
      return text;
    } catch (error) {
      return failureText(id, remote(error, false));
    }
  }
}

function textOf(id: string, result: unknown): string {
  if (result instanceof PartsSent) return endText(id, result.count);
  if (isAsyncIterable(result)) {
    const message = 'The method answers in several parts, and is asked for one reply: ask with requestStream()';
    throw new MillraceError('NOT_SUPPORTED', message);
  }
  return jsonOf(result, 'reply', () => replyText(id, result));
}

/** Has JSON say a value. Throws `ERR_MILLRACE_INVALID_ITEM` where it can't. */
function jsonOf(value: unknown, what: string, write: () => string): string {
  try {
    // In an object JSON would leave them out.
    if (typeof value === 'function' || typeof value === 'symbol') throw new TypeError('it has no JSON');
    return write();
  } catch (cause) {
    const message = `Invalid ${what}: a result of type ${typeof value} is refused: ${said(cause)}`;
    throw new MillraceError('INVALID_ITEM', message, { item: value, cause });
  }
}

export function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  if (typeof value !== 'object' || value === null) return false;
  return typeof (value as Partial<AsyncIterable<unknown>>)[Symbol.asyncIterator] === 'function';
}

/** What is said of something that was thrown, which may be anything: to look at it may throw, too. */
function remote(thrown: unknown, withStack: boolean): RemoteError {
  try {
    return remoteErrorOf(thrown, withStack);
  } catch {
    return { name: 'Error', message: 'Something was thrown that has no text' };
  }
}

function said(thrown: unknown): string {
  try {
    return messageOf(thrown);
  } catch {
    return 'something was thrown that has no text';
  }
}
