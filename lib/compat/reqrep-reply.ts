import { EventEmitter } from 'node:events';
import { handler } from '../handling.ts';
import { remoteErrorOf } from '../packet.ts';
import { PullStream } from '../pull-stream.ts';
import { calledBack } from './callbacks.ts';
import { closeClient } from './place.ts';
import { checkedOptions } from './queue-options.ts';
import { type RedisPlace, redisAt } from './redis.ts';
import { report, reportInvalid } from './report.ts';
import { checks, type JobHandler, type RequestReplyOptions } from './reqrep-options.ts';
import { schemaOf } from './schema.ts';

/** How long a reply lies there that nobody fetches, in milliseconds. */
const EXPIRY = 10 * 60_000;

type Job = [id: string, data: unknown];

const job = schemaOf(
  (value): value is Job => Array.isArray(value) && typeof value[0] === 'string',
  'a job is an array of its id and its data',
);

/**
 * The `Reply` of reqrep: it calls `onJob` with each job, and sends what comes of it to whoever has asked.
 *
 * Emits `'error'`, where somebody listens, with each failure of a job, which its requester is told, too. What is no job goes to the dead
 * letters of `<queue>requests`, and is told by an `'error'` or a warning; nothing of this stops it.
 */
export class Reply extends EventEmitter {
  readonly #queue: string;
  readonly #onJob: JobHandler;
  readonly #redis: RedisPlace;
  readonly #pull: PullStream<Job>;

  /** @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE where options are wrong; ERR_MILLRACE_NOT_SUPPORTED */
  constructor(options: RequestReplyOptions) {
    super();
    const all = checkedOptions(options, checks);
    handler(all.onJob, 'options.onJob');
    this.#queue = all.queue;
    this.#onJob = all.onJob as JobHandler;
    this.#redis = redisAt(all);
    const pulling = { connection: this.#redis.connection, side: 'left', highWaterMark: 1, schema: job } as const;
    this.#pull = new PullStream(`${all.queue}requests`, pulling);
    this.#pull.on('data', (data: Job) => this.#work(data).catch((error) => report(this, error)));
    this.#pull.on('error', (error) => this.emit('error', error));
    this.#pull.once('close', () => closeClient(all));
    reportInvalid(this.#pull, this);
  }

  /** Takes no more jobs. Those that it has are answered still. */
  end(): void {
    // What could not be given back is the stream's error, too.
    this.#pull.close().catch(() => {});
  }

  async #work([id, data]: Job): Promise<void> {
    try {
      const result = await calledBack((settle) => this.#onJob(data, settle, id));
      await this.#redis.answer(`${this.#queue}replies:${id}`, JSON.stringify(result) ?? 'null', EXPIRY);
    } catch (error) {
      if (this.listenerCount('error') > 0) process.nextTick(() => this.emit('error', error));
      await this.#redis.answer(`${this.#queue}errors:${id}`, JSON.stringify(remoteErrorOf(error)), EXPIRY);
    }
  }
}
