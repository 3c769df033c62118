import { handler } from '../handling.ts';
import { checkQueueName, name, unchecked, withDefaults } from '../options.ts';
import { type PlaceOptions, placeChecks } from './place.ts';
import type { Reply } from './reqrep-reply.ts';

/** Told once what comes of a job: its result, or why there is none. */
// biome-ignore lint/suspicious/noExplicitAny: it is what the other end says
export type Callback = (error: Error | null, result?: any) => void;

/** Works on a job, and says by the callback what comes of it. What it throws, or rejects with, is said for it. */
export type JobHandler = (
  this: Reply,
  // biome-ignore lint/suspicious/noExplicitAny: it is what the other end says
  data: any,
  callback: (error?: unknown, result?: unknown) => void,
  id: string,
) => unknown;

/** The options of `Request` and `Reply`: both take the same, so that they can share them. */
export interface RequestReplyOptions extends PlaceOptions {
  /** What the lists' names begin with, of the letters of a queue's name: `<queue>requests`, `<queue>replies:<id>`. */
  queue: string;
  /** Called with each job, for a `Reply`. */
  onJob?: JobHandler;
  /** As for pushpull: nothing depends on it any more. */
  timeout?: number;
}

const checks = { ...placeChecks, queue: name, onJob: handler, timeout: unchecked };

/** The options, checked. */
export function checkedOptions(options: RequestReplyOptions): RequestReplyOptions {
  const all = withDefaults<RequestReplyOptions, object>(options, checks, {}) as RequestReplyOptions;
  checkQueueName(all.queue);
  return all;
}
