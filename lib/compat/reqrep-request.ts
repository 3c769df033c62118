import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { RedisClients } from '../drivers/redis/clients.ts';
import { MillraceError, type RemoteError } from '../errors.ts';
import { PushStream } from '../push-stream.ts';
import { closeClient, connectionOf } from './place.ts';
import { clientsOf } from './redis.ts';
import { ReplyLists } from './reply-lists.ts';
import { report } from './report.ts';
import { type Callback, checkedOptions, type RequestReplyOptions } from './reqrep-options.ts';

/**
 * The `Request` of reqrep: it sends jobs, and tells each one's reply to its callback. Emits `'error'` with what befalls all of them, and
 * with the failure of a job that has no callback.
 */
export class Request extends EventEmitter {
  readonly #options: RequestReplyOptions;
  readonly #push: PushStream;
  readonly #clients: RedisClients;
  readonly #lists: ReplyLists[] = [];

  /** @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE where options are wrong; ERR_MILLRACE_NOT_SUPPORTED */
  constructor(options: RequestReplyOptions) {
    super();
    this.#options = checkedOptions(options);
    this.#clients = clientsOf(this.#options);
    const connection = connectionOf(this.#options);
    this.#push = new PushStream(`${this.#options.queue}requests`, { connection, side: 'right' });
    this.#push.on('error', (error) => this.emit('error', error));
    this.#push.once('close', () => closeClient(this.#options));
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
        this.#wait(id, onReply);
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

  #wait(id: string, onReply: Callback = (error) => error && report(this, error)): void {
    const { queue } = this.#options;
    const errors = `${queue}errors:${id}`;
    this.#listsWithRoom().wait([`${queue}replies:${id}`, errors], (error, item) => {
      if (error || !item) onReply(error);
      else tell(item.text, item.list === errors, onReply);
    });
  }

  #listsWithRoom(): ReplyLists {
    const some = this.#lists.find(({ isFull }) => !isFull);
    if (some) return some;
    const more = new ReplyLists(this.#clients);
    this.#lists.push(more);
    return more;
  }
}

function tell(text: string, isError: boolean, onReply: Callback): void {
  let failure: Error | null = null;
  let said: unknown;
  try {
    said = JSON.parse(text);
    if (isError) failure = new MillraceError('REMOTE', (said as RemoteError).message, { remote: said as RemoteError });
  } catch (cause) {
    failure = new MillraceError('INVALID_ITEM', 'Invalid reply: it is no JSON', { item: text, cause });
  }
  if (failure) onReply(failure);
  else onReply(null, said);
}
