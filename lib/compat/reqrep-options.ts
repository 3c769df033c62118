import { handler } from '../handling.ts';
import type { Settle } from './callbacks.ts';
import type { QueueOptions } from './queue-options.ts';
import type { Reply } from './reqrep-reply.ts';

/** Told once what comes of a job: its result, or why there is none. */
// biome-ignore lint/suspicious/noExplicitAny: it is what the other end says
export type Callback = (error: Error | null, result?: any) => void;

/** Works on a job, and says by the callback what comes of it. What it throws, or rejects with, is said for it. */
// biome-ignore lint/suspicious/noExplicitAny: it is what the other end says
export type JobHandler = (this: Reply, data: any, callback: Settle, id: string) => unknown;

/** The options of `Request` and `Reply`: both take the same, so that they can share them. */
export interface RequestReplyOptions extends QueueOptions {
  /** Called with each job, for a `Reply`. */
  onJob?: JobHandler;
}

/** The checks of what `Request` and `Reply` take beside {@link QueueOptions}. */
export const checks = { onJob: handler };
