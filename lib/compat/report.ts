import type { EventEmitter } from 'node:events';
import { messageOf } from '../errors.ts';

/** Tells of something that nobody else is told of: by a warning of the process, `MILLRACE_UNHEARD`. */
export function warn(reason: unknown): void {
  process.emitWarning(messageOf(reason), { code: 'MILLRACE_UNHEARD' });
}

/** Tells of something that went wrong and stops nothing: by an `'error'` event, where somebody listens to that, else as {@link warn}. */
export function report(emitter: EventEmitter, reason: unknown): void {
  if (emitter.listenerCount('error') === 0) warn(reason);
  else emitter.emit('error', reason instanceof Error ? reason : new Error(messageOf(reason)));
}

/** {@link report}s what a stream calls invalid, unless somebody listens to its `'invalid'` events. */
export function reportInvalid(stream: EventEmitter, emitter: EventEmitter = stream): void {
  stream.on('invalid', (error: Error) => {
    if (stream.listenerCount('invalid') === 1) report(emitter, error);
  });
}
