import type { Outcome } from '../../driver.ts';
import type { MillraceError, RemoteError } from '../../errors.ts';
import { failureText, isPart, isProgress, progressText, type ReplyPacket } from '../../packet.ts';
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

/**
 * The packets that say how far the work on a request is, or a part of its reply: its data, and before the first ones none at all. Who has had parts before knows by such an empty
 * packet that another worker has begun anew; to others it says nothing.
 */
export function partialAnswer(handle: string, text: string): Buffer[] {
  const part: unknown = JSON.parse(text);
  if (isProgress(part)) return [packet(Type.WORK_STATUS, handle, String(part.done), String(part.total))];
  if (!isPart(part)) return [];
  const data = packet(Type.WORK_DATA, handle, JSON.stringify(part.data));
  return part.part === 0 ? [packet(Type.WORK_DATA, handle, ''), data] : [data];
}

/** A part of the reply to a request, in JSON; nothing where its data are no JSON. */
export function partOf(id: string, part: number, data: Buffer): string | undefined {
  const text = data.toString();
  return isJson(text) ? `{"id":${JSON.stringify(id)},"run":"gearman","part":${part},"data":${text}}` : undefined;
}

/** How far the work on a request is, in JSON, as its worker says it in two arguments; nothing where these are no numbers. */
export function progressOf(id: string, data: Buffer): string | undefined {
  const [done = '', total = ''] = data.toString().split('\0');
  const areNumbers = [done, total].every((text) => /^\d+$/.test(text));
  return areNumbers ? progressText(id, Number(done), Number(total)) : undefined;
}

/** The reply to a request, in JSON, that another worker has begun on when parts of its reply had come. */
export function interruptedReplyOf(id: string): string {
  const code = 'ERR_MILLRACE_INTERRUPTED' satisfies MillraceError['code'];
  return failureText(id, { name: 'MillraceError', message: 'the worker has died between two parts', code });
}

/** The reply to a request for one, in JSON, that was answered in parts. */
export function unaskedReplyOf(id: string): string {
  const message = 'the method answers in several parts, and is asked for one reply: ask with requestStream()';
  const code = 'ERR_MILLRACE_NOT_SUPPORTED' satisfies MillraceError['code'];
  return failureText(id, { name: 'MillraceError', message, code });
}

/** The reply to a request, in JSON, whose job is complete: its data are JSON, or nothing. */
export function replyOf(id: string, data: Buffer): string {
  const text = data.toString();
  if (text.trim() === '') return `{"id":${JSON.stringify(id)},"success":true}`;
  if (!isJson(text)) {
    const message = `the worker's answer is no JSON: ${text.slice(0, SHOWN)}`;
    const code = 'ERR_MILLRACE_INVALID_ITEM' satisfies MillraceError['code'];
    return failureText(id, { name: 'MillraceError', message, code });
  }
  return `{"id":${JSON.stringify(id)},"success":true,"data":${text}}`;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
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
