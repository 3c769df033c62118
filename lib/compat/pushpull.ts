import { integer } from '../options.ts';
import { PullStream } from '../pull-stream.ts';
import { PushStream } from '../push-stream.ts';
import { closeClient, connectionOf } from './place.ts';
import { checkedOptions, type QueueOptions } from './queue-options.ts';
import { reportInvalid } from './report.ts';

/** The options of {@link Push} and {@link Pull}: both take the same, so that they can share them. */
export interface PushPullOptions extends QueueOptions {
  /** How many values a `Pull` may hold, default 1: the one that a pause meets on its way. With more it is faster. */
  highWaterMark?: number;
}

const checks = { highWaterMark: integer(0) };

/**
 * The `Push` of pushpull: a {@link PushStream} that appends to the right end of its list.
 *
 * `write(data)`, or `emit('data', data)`, pushes a job, and waits while Redis is away; `end()` lets go when all is stored. Emits
 * `'pushed'` with each job that is stored, then calls back. A job that JSON can't say is told to its callback and by an `'invalid'`
 * event, or where nobody listens to that by an `'error'`, and stops nothing.
 */
// biome-ignore lint/suspicious/noExplicitAny: what a user who names no type gets
export class Push<In = any> extends PushStream<In> {
  /** @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE where options are wrong */
  constructor(options: PushPullOptions) {
    const all = checkedOptions(options, checks);
    super(all.queue, { connection: connectionOf(all), side: 'right', invalid: 'skip' });
    this.on('data', (data: unknown) => this.write(data));
    this.once('close', () => closeClient(all));
    reportInvalid(this);
  }
}

/**
 * The `Pull` of pushpull: a {@link PullStream} that pops from the left end of its list.
 *
 * Emits `'data'` with each job. `pause()` stops it, and one job at most is held until `resume()`. What can't be read goes to the dead
 * letters of the queue; it is told by an `'invalid'` event, or where nobody listens to that by an `'error'`, and stops nothing.
 */
// biome-ignore lint/suspicious/noExplicitAny: what a user who names no type gets
export class Pull<Out = any> extends PullStream<Out> {
  /** @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE where options are wrong */
  constructor(options: PushPullOptions) {
    const all = checkedOptions(options, checks);
    super(all.queue, { connection: connectionOf(all), side: 'left', highWaterMark: all.highWaterMark ?? 1 });
    this.once('close', () => closeClient(all));
    reportInvalid(this);
  }

  /** Takes no more; what it holds flows on, or is given back where nobody reads it. Then the stream ends. */
  end(): void {
    // What could not be given back is the stream's error, too.
    this.close().catch(() => {});
  }
}
