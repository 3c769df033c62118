import { invalidType, invalidValue, outOfRange } from './errors.ts';

/** Throws Node's own error when `value`, called `name`, is not what it should be. */
export type Check = (value: unknown, name: string) => void;

/** An integer from `min` to `max`. */
export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER): Check {
  const allowed = max === Number.MAX_SAFE_INTEGER ? `an integer >= ${min}` : `an integer >= ${min} and <= ${max}`;
  return (value, name) => {
    if (typeof value !== 'number') throw invalidType(name, 'of type number', value);
    if (!Number.isSafeInteger(value) || value < min || value > max) throw outOfRange(name, allowed, value);
  };
}

/** One of a few words. */
export function oneOf(...words: string[]): Check {
  const allowed = `one of ${words.map((word) => `'${word}'`).join(', ')}`;
  return (value, name) => {
    if (!words.includes(value as string)) throw invalidValue(name, allowed, value);
  };
}

/** The most that a timer of Node can bear, in milliseconds: about 24 days. */
export const LONGEST_TIMER = 2 ** 31 - 1;

/** A time limit in milliseconds: 0 or more, at most what a timer can bear. */
export const milliseconds: Check = integer(0, LONGEST_TIMER);

/** Whether to do something. */
export const yesOrNo: Check = (value, name) => {
  if (typeof value !== 'boolean') throw invalidType(name, 'of type boolean', value);
};

/** An AbortSignal. */
export const abortSignal: Check = (value, name) => {
  if (!(value instanceof AbortSignal)) throw invalidType(name, 'an instance of AbortSignal', value);
};

/** Left to whoever uses the option. */
export const unchecked: Check = () => {};

/** Options of which some have defaults. */
export type Filled<Options, Defaults> = Omit<Options, keyof Defaults> &
  Required<Pick<Options, keyof Defaults & keyof Options>>;

/**
 * The options as given, each checked, with the defaults filled in. `undefined` counts as not given; a name that is not
 * in `checks` is refused.
 */
export function withDefaults<Options extends object, Defaults extends Partial<Options>>(
  given: Options | undefined,
  checks: { readonly [Name in keyof Required<Options>]: Check },
  defaults: Defaults,
): Filled<Options, Defaults> {
  if (given === undefined) return { ...defaults } as Filled<Options, Defaults>;
  if (typeof given !== 'object' || given === null) throw invalidType('options', 'of type object', given);
  const options: Record<string, unknown> = { ...defaults };
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(checks, name)) {
      throw invalidValue('options', `made of ${Object.keys(checks).join(', ')}`, { [name]: value });
    }
    if (value === undefined) continue;
    checks[name as keyof Options](value, `options.${name}`);
    options[name] = value;
  }
  return options as Filled<Options, Defaults>;
}

const QUEUE_NAME = /^[A-Za-z0-9._:/-]{1,128}$/;

/** A queue's name: 1 to 128 of the letters, digits and `._:/-`, so that it can stand inside a cluster's `{}` in every key. */
export function checkQueueName(queue: unknown): asserts queue is string {
  name(queue, 'queue');
}

/** A name of the letters of a queue's name. */
export const name: Check = (value, option) => {
  if (typeof value !== 'string') throw invalidType(option, 'of type string', value);
  if (!QUEUE_NAME.test(value)) {
    throw invalidValue(option, 'a name of 1 to 128 letters, digits and any of . _ : / -', value);
  }
};

/** What stands before every queue's name: of the same letters, or nothing. */
export const prefix: Check = (value, name) => {
  if (typeof value !== 'string') throw invalidType(name, 'of type string', value);
  if (value !== '' && !QUEUE_NAME.test(value)) {
    throw invalidValue(name, 'at most 128 letters, digits and any of . _ : / -', value);
  }
};

/** How long a close may take when nothing else is said, in milliseconds. */
export const CLOSE_TIMEOUT = 10_000;

/** The part of a close's time that is kept for giving back, or giving up, what is left at its end. */
export function reserve(timeout: number): number {
  return Math.min(500, Math.ceil(timeout / 4));
}

/** How long a close may take. */
export interface CloseOptions {
  /** Milliseconds, default 10,000. What still runs then is given up, what is held is given back. */
  timeout?: number;
}

/** The time limit of a close, checked. */
export function closeTimeout(options: CloseOptions | undefined): number {
  return withDefaults(options, { timeout: milliseconds }, { timeout: CLOSE_TIMEOUT }).timeout;
}
