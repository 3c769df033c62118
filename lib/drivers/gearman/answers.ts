import type { Outcome } from '../../driver.ts';
import type { MillraceError, RemoteError } from '../../errors.ts';
import { failureText, type ReplyPacket } from '../../packet.ts';
import { packet, Type } from './packets.ts';

/** How much of an answer that can't be read is shown. */
const SHOWN = 100;

/** The packets that say what became of a job. */
export function settlementOf(handle: string, outcome: Outcome & { verb: 'ack' | 'reject' }): Buffer[] {
  if (outcome.verb === 'reject') {
    const code = 'ERR_MILLRACE_DEAD_LETTER' satisfies MillraceError['code'];
    return failure(handle, { name: 'MillraceError', message: outcome.reason, code });
  }
  if (!outcome.reply) return [completion(handle, '')];
  const reply = JSON.parse(outcome.reply.text) as ReplyPacket;
  if (!reply.success) return failure(handle, reply.error);
  return [completion(handle, reply.data === undefined ? '' : JSON.stringify(reply.data))];
}

function completion(handle: string, data: string): Buffer {
  return packet(Type.WORK_COMPLETE, handle, data);
}

/**
 * The packets that say how a job has failed: a warning with the error in JSON, then the failure. An exception would do both; but a client
 * that has not asked for exceptions gets that as a failure with a broken handle, and waits for ever.
 */
function failure(handle: string, error: RemoteError): Buffer[] {
  return [packet(Type.WORK_WARNING, handle, JSON.stringify(error)), packet(Type.WORK_FAIL, handle)];
}

/** The reply to a request, in JSON, whose job is complete: its data are JSON, or nothing. */
export function replyOf(id: string, data: Buffer): string {
  const text = data.toString();
  if (text.trim() === '') return `{"id":${JSON.stringify(id)},"success":true}`;
  try {
    JSON.parse(text);
  } catch {
    const message = `the worker's answer is no JSON: ${text.slice(0, SHOWN)}`;
    const code = 'ERR_MILLRACE_INVALID_ITEM' satisfies MillraceError['code'];
    return failureText(id, { name: 'MillraceError', message, code });
  }
  return `{"id":${JSON.stringify(id)},"success":true,"data":${text}}`;
}

/** The reply to a request, in JSON, whose job has failed, from what was said about that, which may be nothing. */
export function failedReplyOf(id: string, said: string): string {
  return failureText(id, errorIn(said));
}

/** An error that was said in JSON, as our own workers say it, or in any text. */
function errorIn(said: string): RemoteError {
  try {
    const error: unknown = JSON.parse(said);
    if (typeof error === 'object' && error !== null && 'message' in error) return error as RemoteError;
  } catch {
    // Text, then.
  }
  return { name: 'Error', message: said.trim() || 'the worker gave no reason' };
}
