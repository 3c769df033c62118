import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { RedisClients } from '../drivers/redis/clients.ts';
import { MillraceError, type RemoteError } from '../errors.ts';
import { handler } from '../handling.ts';
import { checkQueueName, name, unchecked, withDefaults } from '../options.ts';
import { remoteErrorOf } from '../packet.ts';
import { PullStream } from '../pull-stream.ts';
import { PushStream } from '../push-stream.ts';
import { closeClient, connectionOf, type PlaceOptions, placeChecks } from './place.ts';
import { clientsOf, setList } from './redis.ts';
import { ReplyLists } from './reply-lists.ts';
import { report, reportInvalid } from './report.ts';

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

/** The options of {@link Request} and {@link Reply}: both take the same, so that they can share them. */
export interface RequestReplyOptions extends PlaceOptions {
  /** What the lists' names begin with, of the letters of a queue's name: `<queue>requests`, `<queue>replies:<id>`. */
  queue: string;
  /** Called with each job, for a {@link Reply}. */
  onJob?: JobHandler;
  /** As for pushpull: nothing depends on it any more. */
  timeout?: number;
}

const checks = { ...placeChecks, queue: name, onJob: handler, timeout: unchecked };

/** How long a reply lies there that nobody fetches, in milliseconds. */
const REPLY_EXPIRY = 10 * 60_000;

function checked(options: RequestReplyOptions): RequestReplyOptions {
  const all = withDefaults<RequestReplyOptions, object>(options, checks, {}) as RequestReplyOptions;
  checkQueueName(all.queue);
  return all;
}

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
    this.#options = checked(options);
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
  let said: unknown;
  try {
    said = JSON.parse(text);
  } catch (cause) {
    onReply(new MillraceError('INVALID_ITEM', 'Invalid reply: it is no JSON', { item: text, cause }));
    return;
  }
  const remote = said as RemoteError;
  if (isError) onReply(new MillraceError('REMOTE', remote.message, { remote }));
  else onReply(null, said);
}

/** A job on its way: `[id, data]`. All else goes to the dead letters. */
const job: StandardSchemaV1<unknown, [id: string, data: unknown]> = {
  '~standard': {
    version: 1,
    vendor: 'millrace',
    validate: (value) =>
      Array.isArray(value) && typeof value[0] === 'string'
        ? { value: [value[0], value[1]] }
        : { issues: [{ message: 'a job is an array of its id and its data' }] },
  },
};

/**
 * The `Reply` of reqrep: it calls `onJob` with each job, and sends what comes of it to whoever has asked.
 *
 * Emits `'error'`, where somebody listens, with each failure of a job, which its requester is told, too. What is no job goes to the dead
 * letters of `<queue>requests`, and is told by an `'error'` or a warning; nothing of this stops it.
 */
export class Reply extends EventEmitter {
  readonly #queue: string;
  readonly #onJob: JobHandler;
  readonly #pull: PullStream<[id: string, data: unknown]>;
  readonly #clients: RedisClients;

  /** @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE where options are wrong; ERR_MILLRACE_NOT_SUPPORTED */
  constructor(options: RequestReplyOptions) {
    super();
    const all = checked(options);
    handler(all.onJob, 'options.onJob');
    this.#queue = all.queue;
    this.#onJob = all.onJob as JobHandler;
    this.#clients = clientsOf(all);
    const pulling = { connection: connectionOf(all), side: 'left', highWaterMark: 1, schema: job } as const;
    this.#pull = new PullStream(`${all.queue}requests`, pulling);
    this.#pull.on('data', ([id, data]) => this.#work(id, data));
    this.#pull.on('error', (error) => this.emit('error', error));
    this.#pull.once('close', () => closeClient(all));
    reportInvalid(this.#pull, this);
  }

  /** Takes no more jobs. Those that it has are answered still. */
  end(): void {
    // What could not be given back is the stream's error, too.
    this.#pull.close().catch(() => {});
  }

  async #work(id: string, data: unknown): Promise<void> {
    let isOver = false;
    const settle = (error?: unknown, result?: unknown): void => {
      if (!isOver) this.#answer(id, error, result).catch((refusal) => report(this, refusal));
      isOver = true;
    };
    try {
      await this.#onJob(data, settle, id);
    } catch (error) {
      settle(error ?? new Error('The handler has failed'));
    }
  }

  async #answer(id: string, error: unknown, result: unknown): Promise<void> {
    try {
      if (error) throw error;
      await setList(this.#clients, `${this.#queue}replies:${id}`, JSON.stringify(result) ?? 'null', REPLY_EXPIRY);
    } catch (failure) {
      if (this.listenerCount('error') > 0) process.nextTick(() => this.emit('error', failure));
      await setList(this.#clients, `${this.#queue}errors:${id}`, JSON.stringify(remoteErrorOf(failure)), REPLY_EXPIRY);
    }
  }
}
