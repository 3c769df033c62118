import { JobClient, type JobClientOptions } from './job-client.ts';
import { JobServer, type JobServerOptions } from './job-server.ts';

export type { Job } from './job.ts';
export type { JobOptions } from './job-options.ts';
export type { JobClient, JobClientOptions, JobServer, JobServerOptions };

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
