import { noMethod } from '../contract.ts';
import type { RedisClients } from '../drivers/redis/clients.ts';
import { invalidValue } from '../errors.ts';
import { handler as handlerCheck } from '../handling.ts';
import type { RequestHandler } from '../methods.ts';
import { unchecked, withDefaults } from '../options.ts';
import type { Request } from '../request.ts';
import { serve } from '../serve.ts';
import type { Service } from '../service.ts';
import { type JobOptions, jobChecks, jobDefaults } from './job-options.ts';
import { closeClient, text } from './place.ts';
import { redisAt } from './redis.ts';

/** The options of a {@link JobServer}. */
export interface JobServerOptions extends JobOptions {
  /** How many handlers run at a time, default 1. */
  concurrency?: number;
  /** A name that a restart keeps, as a host's: what the server held when it died it has again at once, not after 30 seconds. */
  consumer?: string;
  /** The list in which an older server has left jobs when it died, which are read back at the start; default `<queue>:in-process`. */
  inProcess?: string;
}

// Those that are not checked here are by serve().
const checks = { ...jobChecks, concurrency: unchecked, consumer: unchecked, inProcess: text };

/** Does jobs. Made by `createServer()`. */
export class JobServer {
  readonly #options: JobServerOptions & { queue: string };
  // biome-ignore lint/suspicious/noExplicitAny: it is what the other end says
  readonly #handlers = new Map<string, RequestHandler<any, unknown>>();
  #service: Service | undefined;

  /** @internal */
  constructor(options?: JobServerOptions) {
    this.#options = withDefaults<JobServerOptions, typeof jobDefaults>(options, checks, jobDefaults);
  }

  /**
   * Sets the handler of a method: what it returns, or the promise of it, is the job's result; what it throws, or rejects with, is the
   * client's error, and stops nothing.
   *
   * @throws ERR_INVALID_ARG_TYPE
   */
  // biome-ignore lint/suspicious/noExplicitAny: it is what the other end says
  on<T = any>(method: string, handler: RequestHandler<T, unknown>): this {
    text(method, 'method');
    handlerCheck(handler, 'handler');
    this.#handlers.set(method, handler);
    return this;
  }

  /**
   * Begins to work, also on what an older server has left behind when it died. Start it when none of those runs any more on the same
   * `inProcess` list: what they work on would be done twice. Gives the service that does it, as `serve()` does; the second call the same.
   *
   * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE where options are wrong; ERR_MILLRACE_NOT_SUPPORTED
   */
  run(): Service {
    this.#service ??= this.#run();
    return this.#service;
  }

  /** Takes no more jobs, and resolves when those that run are done and answered. */
  async close(): Promise<void> {
    try {
      await this.#service?.close();
    } finally {
      closeClient(this.#options);
    }
  }

  #run(): Service {
    const { queue, inProcess = `${queue}:in-process`, concurrency, consumer } = this.#options;
    if (inProcess === queue) throw invalidValue('options.inProcess', 'another list than the queue itself', inProcess);
    const redis = redisAt(this.#options);
    const serving = { connection: redis.connection, concurrency, consumer } as object;
    const service = serve(queue, (value, request) => this.#handle(value, request), serving);
    const closing = new AbortController();
    service.stream.once('close', () => closing.abort());
    moveAll(redis.clients, inProcess, queue, closing.signal).catch((error) => service.stream.destroy(error));
    return service;
  }

  #handle(value: unknown, request: Request): unknown {
    const handler = this.#handlers.get(request.method);
    if (!handler) throw noMethod(request.method, [...this.#handlers.keys()]);
    return handler(value, request);
  }
}

/** Moves all of a list to the right end of another, leftmost first. Rejects where it is refused for good, and when `signal` is aborted. */
async function moveAll(clients: RedisClients, from: string, to: string, signal: AbortSignal): Promise<void> {
  while ((await clients.use((client) => client.lmove(from, to, 'LEFT', 'RIGHT'), signal)) !== null);
}
