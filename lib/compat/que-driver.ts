import type { EventEmitter } from 'node:events';
import { handler } from '../handling.ts';
import { calledBack, type Settle } from './callbacks.ts';
import type { Broker, Processor } from './que-broker.ts';

/** A driver of one's own, as the README of que has it. */
export interface QueDriver {
  /** Connects to the server at a URL, and calls back when that is done. */
  connect(server: string, callback: (error?: Error | null) => void): void;
  /** Calls back when it is disconnected. */
  disconnect(callback: (error?: Error | null) => void): void;
  /** Has the jobs of a name handled. The handler is called with their data in JSON, and ends them with the response in JSON. */
  register(name: string, handler: (params: string, job: QueJob) => void): void;
  /** Sends a job, with its data in JSON. What it gives emits `'data'` with the response in JSON, then `'end'`; or `'error'`. */
  submit(name: string, params: string): EventEmitter;
}

/** A job, as a {@link QueDriver} hands it out. */
export interface QueJob {
  end(response: string | undefined): void;
  /** Where there is none a job that fails ends without a response. */
  error?(reason: unknown): void;
}

/** Where the jobs of one driver are done. */
export type Backend = Pick<Broker, keyof Broker>;

/**
 * The jobs of a driver of the user's.
 *
 * @throws ERR_INVALID_ARG_TYPE where it lacks one of the four functions
 */
export function backendOn(driver: QueDriver): Backend {
  for (const name of ['connect', 'disconnect', 'register', 'submit'] as const) {
    handler(driver?.[name], `driver.${name}`);
  }
  return {
    connect: (url) => calledBack((settle) => driver.connect(url, settle)),
    disconnect: () => calledBack((settle) => driver.disconnect(settle)),
    register: (name, processor) => driver.register(name, (params, job) => handle(processor, params, job)),
    submit: (name, params) => calledBack((settle) => follow(driver.submit(name, JSON.stringify(params)), settle)),
  };
}

/** Has a job done, and ends it. */
function handle(processor: Processor, params: string, job: QueJob): void {
  const fail = (error: unknown): void => (job.error ? job.error(error) : job.end(undefined));
  const response = Promise.resolve(params).then(JSON.parse).then(processor).then(JSON.stringify);
  response.then((text) => job.end(text), fail);
}

/** Says what comes of a job, as what a driver gives of it emits it. */
function follow(submitted: EventEmitter, settle: Settle): void {
  let response: string | undefined;
  submitted.on('data', (data) => {
    response = String(data);
  });
  submitted.on('end', () => settle(null, response ? JSON.parse(response) : undefined));
  submitted.on('error', settle);
}
