import { MillraceError } from '../../errors.ts';

/**
 * Answers that pass: Redis is full, loading, busy, being replaced. Whoever gets one waits and asks again.
 * (https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors names no list; these are the server's source.)
 */
const PASSING =
  /^(OOM|READONLY|NOREPLICAS|BUSY|LOADING|MASTERDOWN|MISCONF|UNBLOCKED|TRYAGAIN|CLUSTERDOWN)\b|^ERR max number of clients/;

/** Whether Redis answered at all: with anything else the connection broke, or was never there. */
export function isAnswer(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError';
}

/** The error to report when Redis refused for good; nothing where asking again may help. */
export function refusal(error: unknown): MillraceError | undefined {
  if (error instanceof MillraceError) return error;
  if (!isAnswer(error) || PASSING.test(error.message)) return undefined;
  if (/^ERR unknown command/i.test(error.message)) return tooOld(error.message, error);
  return new MillraceError('REFUSED', `Redis refused: ${error.message}`, { cause: error });
}

/** The error for a server that lacks what the drivers need: BLMPOP and script flags are of 7.0. */
export function tooOld(found: string, cause?: unknown): MillraceError {
  return new MillraceError('NOT_SUPPORTED', `Redis 7.0 or later, or Valkey, is needed; the server says: ${found}`, {
    cause,
  });
}
