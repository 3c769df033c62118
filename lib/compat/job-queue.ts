import { Client } from '../client.ts';
import { noMethod } from '../contract.ts';
import { handler as handlerCheck } from '../handling.ts';
import type { RequestHandler } from '../methods.ts';
import { integer, LONGEST_TIMER, name, unchecked, withDefaults } from '../options.ts';
import type { Request } from '../request.ts';
import { serve } from '../serve.ts';
import type { Service } from '../service.ts';
import { Job } from './job.ts';
import { closeClient, connectionOf, type PlaceOptions, placeChecks, text } from './place.ts';
import { clientsOf, moveAll } from './redis.ts';

export type { Job };

/** What clients and servers have in common. */
export interface JobOptions extends PlaceOptions {
  /** The name of the list, default `'jobs'`; the older README says `'job-queue'`. Of the letters of a queue's name. */
  queue?: string;
}

/** The options of {@link createClient}. */
export interface JobClientOptions extends JobOptions {
  /** Milliseconds after which a job that is not answered fails. Default: about 24 days. */
  timeout?: number;
}

/** The options of {@link createServer}. */
export interface JobServerOptions extends JobOptions {
  /** How many handlers run at a time, default 1. */
  concurrency?: number;
  /** A name that a restart keeps, as a host's: what the server held when it died it has again at once, not after 30 seconds. */
  consumer?: string;
  /** The list in which an older server has left jobs when it died, which are read back at the start; default `<queue>:in-process`. */
  inProcess?: string;
}

const defaults = { queue: 'jobs' };
const clientDefaults = { ...defaults, timeout: LONGEST_TIMER };
const checks = { ...placeChecks, queue: name };
const clientChecks = { ...checks, timeout: integer(1, LONGEST_TIMER) };
// Those that are not checked here are by serve().
const serverChecks = { ...checks, concurrency: unchecked, consumer: unchecked, inProcess: text };

/** Asks for jobs to be done. Made by {@link createClient}. */
export class JobClient {
  readonly #client: Client;
  readonly #options: JobClientOptions;

  /** @internal */
  constructor(options?: JobClientOptions) {
    const all = withDefaults<JobClientOptions, typeof clientDefaults>(options, clientChecks, clientDefaults);
    this.#options = all;
    this.#client = new Client(all.queue, { connection: connectionOf(all), timeout: all.timeout });
  }

  /**
   * Queues a job. Its promise gives what the handler has returned, and rejects as a `Client`'s request does: with `ERR_MILLRACE_REMOTE`
   * when the handler has failed.
   */
  // biome-ignore lint/suspicious/noExplicitAny: it is what the other end says
  run<Result = any>(method: string, parameters?: unknown): Job<Result> {
    return Job.resolve(this.#client.request(method, parameters)) as Job<Result>;
  }

  /** Lets go of Redis. Jobs that are not answered fail with `ERR_MILLRACE_CLOSED`. */
  async close(): Promise<void> {
    await this.#client.close();
    closeClient(this.#options);
  }
}

/** Does jobs. Made by {@link createServer}. */
export class JobServer {
  readonly #options: JobServerOptions & { queue: string };
  // biome-ignore lint/suspicious/noExplicitAny: it is what the other end says
  readonly #handlers = new Map<string, RequestHandler<any, unknown>>();
  #service: Service | undefined;

  /** @internal */
  constructor(options?: JobServerOptions) {
    this.#options = withDefaults<JobServerOptions, typeof defaults>(options, serverChecks, defaults);
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
    await this.#service?.close();
    closeClient(this.#options);
  }

  #run(): Service {
    const { queue, inProcess = `${queue}:in-process`, concurrency, consumer } = this.#options;
    const clients = clientsOf(this.#options);
    const serving = { connection: connectionOf(this.#options), concurrency, consumer } as object;
    const service = serve(queue, (value, request) => this.#handle(value, request), serving);
    const closing = new AbortController();
    service.stream.once('close', () => closing.abort());
    moveAll(clients, inProcess, queue, closing.signal).catch((error) => service.stream.destroy(error));
    return service;
  }

  #handle(value: unknown, request: Request): unknown {
    const handler = this.#handlers.get(request.method);
    if (!handler) throw noMethod(request.method, [...this.#handlers.keys()]);
    return handler(value, request);
  }
}

/**
 * Makes a client.
 *
 * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE where options are wrong
 */
export function createClient(options?: JobClientOptions): JobClient {
  return new JobClient(options);
}

/**
 * Makes a server.
 *
 * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE where options are wrong
 */
export function createServer(options?: JobServerOptions): JobServer {
  return new JobServer(options);
}
