import { Client } from '../client.ts';
import { integer, LONGEST_TIMER, withDefaults } from '../options.ts';
import { Job } from './job.ts';
import { type JobOptions, jobChecks, jobDefaults } from './job-options.ts';
import { closeClient, connectionOf } from './place.ts';

/** The options of a {@link JobClient}. */
export interface JobClientOptions extends JobOptions {
  /** Milliseconds after which a job that is not answered fails. Default: about 24 days. */
  timeout?: number;
}

const checks = { ...jobChecks, timeout: integer(1, LONGEST_TIMER) };
const defaults = { ...jobDefaults, timeout: LONGEST_TIMER } as const satisfies JobClientOptions;

/** Asks for jobs to be done. Made by `createClient()`. */
export class JobClient {
  readonly #client: Client;
  readonly #options: JobClientOptions;

  /** @internal */
  constructor(options?: JobClientOptions) {
    const all = withDefaults<JobClientOptions, typeof defaults>(options, checks, defaults);
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
