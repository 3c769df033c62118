import { warn } from './report.ts';

/** Says what comes of a job: an error, or none (which any that is false stands for) and the result. */
export type Settle = (error?: unknown, result?: unknown) => void;

/**
 * What a function says by the callback that it is called with, the first time that it does. What it throws, or rejects with, is an
 * error as well.
 */
export function calledBack<Result>(call: (settle: Settle) => unknown): Promise<Result> {
  return new Promise((resolve, reject) => {
    const settle: Settle = (error, result) => (error ? reject(error) : resolve(result as Result));
    Promise.resolve(call(settle)).catch(reject);
  });
}

/**
 * Calls back with what comes of a promise, in a tick of its own: what a callback throws shall not meet anybody else.
 *
 * @param none stands for no error
 * @param callback without one what fails is a warning
 */
export function callBack<None, Result>(
  promise: Promise<Result>,
  none: None,
  callback: (error: None, result?: Result) => void = (error) => error && warn(error),
): void {
  promise.then(
    (result) => process.nextTick(callback, none, result),
    (error) => process.nextTick(callback, error),
  );
}
