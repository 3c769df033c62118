import { EventEmitter } from 'node:events';
import type { RedisClients } from '../drivers/redis/clients.ts';
import { handler } from '../handling.ts';
import { remoteErrorOf } from '../packet.ts';
import { PullStream } from '../pull-stream.ts';
import { closeClient, connectionOf } from './place.ts';
import { clientsOf, setList } from './redis.ts';
import { report, reportInvalid } from './report.ts';
import { checkedOptions, type JobHandler, type RequestReplyOptions } from './reqrep-options.ts';
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
  readonly #pull: PullStream<Job>;
  readonly #clients: RedisClients;

  /** @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE where options are wrong; ERR_MILLRACE_NOT_SUPPORTED */
  constructor(options: RequestReplyOptions) {
    super();
    const all = checkedOptions(options);
    handler(all.onJob, 'options.onJob');
    this.#queue = all.queue;
    this.#onJob = all.onJob as JobHandler;
    this.#clients = clientsOf(all);
    const pulling = { connection: connectionOf(all), side: 'left', highWaterMark: 1, schema: job } as const;
    this.#pull = new PullStream(`${all.queue}requests`, pulling);
    this.#pull.on('data', ([id, data]: Job) => this.#work(id, data));
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
      await setList(this.#clients, `${this.#queue}replies:${id}`, JSON.stringify(result) ?? 'null', EXPIRY);
    } catch (failure) {
      if (this.listenerCount('error') > 0) process.nextTick(() => this.emit('error', failure));
      await setList(this.#clients, `${this.#queue}errors:${id}`, JSON.stringify(remoteErrorOf(failure)), EXPIRY);
    }
  }
}
