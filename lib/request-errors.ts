import { MillraceError, type RemoteError } from './errors.ts';

/** What an aborted request fails with: the reason, if that is an error. */
export function abortErrorOf(reason: unknown): Error {
  if (reason instanceof Error) return reason;
  return new DOMException('The request was aborted', { name: 'AbortError', cause: reason });
}

/** What a request fails with whose handler has: `name` is what a message calls the request, `said` what came of that over the wire. */
export function failureOf(name: string, said: RemoteError): MillraceError {
  const remote = remoteErrorIn(said);
  const message = `The ${name} failed: ${remote.message}`;
  return new MillraceError(REMOTE_CODES.get(remote.code) ?? 'REMOTE', message, { remote });
}

export function timeoutError(name: string, timeout: number): MillraceError {
  return new MillraceError('TIMEOUT', `The ${name} was not answered within ${timeout} ms`);
}

export function noConsumerError(name: string): MillraceError {
  return new MillraceError('NO_CONSUMER', `Nobody is there to work on the ${name}`);
}

export function lostError(name: string): MillraceError {
  const message = `The connection broke while the ${name} was on its way or at work`;
  return new MillraceError('CONNECTION', message);
}

/** What is said at the other end in the same words as here. All else is the failure of a handler. */
const REMOTE_CODES: ReadonlyMap<string | undefined, 'NO_METHOD' | 'DEAD_LETTER' | 'INTERRUPTED'> = new Map([
  ['ERR_MILLRACE_INTERRUPTED', 'INTERRUPTED'],
  ['ERR_MILLRACE_NO_METHOD', 'NO_METHOD'],
  ['ERR_MILLRACE_DEAD_LETTER', 'DEAD_LETTER'],
] as const);

/** What is told of an error, as far as it is text. Older servers may tell it in any JSON. */
export function remoteErrorIn(said: unknown): RemoteError {
  if (typeof said !== 'object' || said === null) return { name: 'Error', message: String(said) };
  const { name, message, code, stack } = said as Partial<Record<keyof RemoteError, unknown>>;
  return {
    name: typeof name === 'string' ? name : 'Error',
    message: typeof message === 'string' ? message : 'no message was given',
    ...(typeof code === 'string' || typeof code === 'number' ? { code: String(code) } : {}),
    ...(typeof stack === 'string' ? { stack } : {}),
  };
}
