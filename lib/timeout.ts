import { MillraceError } from './errors.ts';

/**
 * What a promise gives, if it does so within its time, in milliseconds. Rejects with `ERR_MILLRACE_TIMEOUT` when it doesn't;
 * the promise itself goes on, and its rejection is taken care of.
 */
export async function within<T>(promise: Promise<T>, milliseconds: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new MillraceError('TIMEOUT', `Not done within ${milliseconds} ms`)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A span of time that several steps share. */
export class Deadline {
  readonly #end: number;

  constructor(milliseconds: number) {
    this.#end = performance.now() + milliseconds;
  }

  /** Milliseconds, never below 0. */
  get left(): number {
    return Math.max(0, Math.ceil(this.#end - performance.now()));
  }
}
