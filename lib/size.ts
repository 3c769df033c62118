import { MillraceError } from './errors.ts';

/**
 * Checks how many bytes are to be stored or sent, of text in UTF-8. Throws `ERR_MILLRACE_TOO_LARGE`, which names `what` it is, and bears the
 * item, if that is given.
 */
export function checkSize(what: string, body: string | Uint8Array, maxBytes: number, item?: unknown): void {
  // UTF-8 takes at most three bytes for a unit of a string: most strings need no closer count.
  if (body.length * 3 <= maxBytes) return;
  const bytes = Buffer.byteLength(body);
  if (bytes <= maxBytes) return;
  const message = `${what} of ${bytes} bytes is larger than maxBytes, ${maxBytes}`;
  throw new MillraceError('TOO_LARGE', message, item === undefined ? {} : { item });
}
