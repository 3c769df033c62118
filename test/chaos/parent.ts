/** What a script of this folder knows of the process that has started it: the other side of `child.ts`. */
import type { Message } from './child.ts';

/** What it was started with. */
export function settings<Settings>(): Settings {
  return JSON.parse(process.argv[2] ?? '{}');
}

export function say(message: Message): void {
  // When the parent has asked us to end, nobody is left to hear it.
  if (process.connected) process.send?.(message, undefined, undefined, () => {});
}

let done = 0;

/** Says that one more is done: once for all of a turn. */
export function sayDone(): void {
  done += 1;
  if (done > 1) return;
  setImmediate(() => {
    say({ done });
    done = 0;
  });
}

/** Calls back when it is told something. */
export function onTold(listener: (message: Message) => void): void {
  process.on('message', listener);
}

/** Calls back when the parent asks us to end, or is gone. */
export function onStop(listener: () => void): void {
  process.once('disconnect', listener);
  // Maybe it has asked before anybody here could hear it.
  if (!process.connected) listener();
}

/** The end of a script whose work is over, in order or because another has taken over from it. */
export function endWith(results: readonly PromiseSettledResult<unknown>[]): void {
  const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
  for (const failure of failures) if (failure.code !== 'ERR_MILLRACE_FENCED') throw failure;
  if (failures.length > 0) say({ fenced: true });
}
