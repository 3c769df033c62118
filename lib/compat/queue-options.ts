import { type Check, checkQueueName, name, unchecked, withDefaults } from '../options.ts';
import { type PlaceOptions, placeChecks } from './place.ts';

/** The options that pushpull and reqrep have in common. */
export interface QueueOptions extends PlaceOptions {
  /** The list's name, for reqrep what the names of its lists begin with: 1 to 128 letters, digits and any of `. _ : / -`. */
  queue: string;
  /** Was the time between two `BLPOP` commands. Nothing depends on it any more: a pause, or an end, takes effect at once. */
  timeout?: number;
}

/**
 * The options, checked.
 *
 * @param more the checks of those that are not {@link QueueOptions}
 */
export function checkedOptions<Options extends QueueOptions>(options: Options, more: Record<string, Check>): Options {
  const checks = { ...placeChecks, queue: name, timeout: unchecked, ...more };
  const all = withDefaults<QueueOptions, object>(options, checks, {}) as Options;
  checkQueueName(all.queue);
  return all;
}
