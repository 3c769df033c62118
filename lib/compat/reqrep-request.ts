import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { PushStream } from '../push-stream.ts';
import { callBack } from './callbacks.ts';
import { closeClient } from './place.ts';
import { checkedOptions } from './queue-options.ts';
import { redisAt } from './redis.ts';
import { report } from './report.ts';
import { type Callback, checks, type RequestReplyOptions } from './reqrep-options.ts';
import { Replies } from './reqrep-replies.ts';

/**
 * The `Request` of reqrep: it sends jobs, and tells each one's reply to its callback. Emits `'error'` with what befalls all of them, and
 * with the failure of a job that has no callback.
 */
export class Request extends EventEmitter {
  readonly #push: PushStream;
  readonly #replies: Replies;

  /** @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE where options are wrong; ERR_MILLRACE_NOT_SUPPORTED */
  constructor(options: RequestReplyOptions) {
    super();
    const all = checkedOptions(options, checks);
    const { clients, connection } = redisAt(all);
    this.#replies = new Replies(clients, all.queue);
    this.#push = new PushStream(`${all.queue}requests`, { connection, side: 'right' });
    this.#push.on('error', (error) => this.emit('error', error));
    this.#push.once('close', () => closeClient(all));
  }

  /**
   * Sends a job. It waits while Redis is away.
   *
   * @param onReply called with the worker's result; with `ERR_MILLRACE_REMOTE` when that has failed, and when the job can't be sent
   * @param onPushed called with the job when it is stored, before `onReply`, or with why it is not
   */
  send(job: unknown, onReply?: Callback, onPushed?: Callback): void {
    const id = randomUUID();
    this.#push.send([id, job]).then(
      () => {
        if (onPushed) process.nextTick(onPushed, null, job);
        callBack(this.#replies.wait(id), null, onReply ?? ((error) => error && report(this, error)));
      },
      (error) => {
        for (const told of [onPushed, onReply]) if (told) process.nextTick(told, error);
        if (!onPushed && !onReply && !this.#push.errored) report(this, error);
      },
    );
  }

  /** Sends no more, and lets go of Redis when all is stored and answered. */
  end(): void {
    this.#push.end();
  }
}
