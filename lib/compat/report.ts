import type { EventEmitter } from 'node:events';

/**
 * Tells of something that went wrong and stops nothing: by an `'error'` event, where somebody listens to that, else by a warning of
 * the process, `MILLRACE_UNHEARD`.
 */
export function report(emitter: EventEmitter, error: Error): void {
  if (emitter.listenerCount('error') > 0) emitter.emit('error', error);
  else process.emitWarning(error.message, { code: 'MILLRACE_UNHEARD' });
}

/** {@link report}s what a stream calls invalid, unless somebody listens to its `'invalid'` events. */
export function reportInvalid(stream: EventEmitter, emitter: EventEmitter = stream): void {
  stream.on('invalid', (error: Error) => {
    if (stream.listenerCount('invalid') === 1) report(emitter, error);
  });
}
