import type { EventEmitter } from 'node:events';
import { handler } from '../handling.ts';
import { calledBack } from './callbacks.ts';
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

/** The jobs of a driver of the user's. */
export class OwnDriver implements Backend {
  readonly #driver: QueDriver;
  #isConnected = false;

  /** @throws ERR_INVALID_ARG_TYPE where it lacks one of the four functions */
  constructor(driver: QueDriver) {
    for (const name of ['connect', 'disconnect', 'register', 'submit'] as const) {
      handler(driver?.[name], `driver.${name}`);
    }
    this.#driver = driver;
  }

  async connect(url: string): Promise<void> {
    this.#isConnected = true;
    await calledBack((settle) => this.#driver.connect(url, settle));
  }

  async disconnect(): Promise<void> {
    if (!this.#isConnected) return;
    this.#isConnected = false;
    await calledBack((settle) => this.#driver.disconnect(settle));
  }

  register(name: string, processor: Processor): void {
    this.#driver.register(name, (params, job) => {
      const fail = (error: unknown): void => (job.error ? job.error(error) : job.end(undefined));
      const processed = Promise.resolve(params).then(JSON.parse).then(processor);
      processed.then(JSON.stringify).then((response) => job.end(response), fail);
    });
  }

  submit(name: string, params: unknown): Promise<unknown> {
    return calledBack((settle) => {
      let response: string | undefined;
      const submitted = this.#driver.submit(name, JSON.stringify(params));
      submitted.on('data', (data) => {
        response = String(data);
      });
      submitted.on('end', () => settle(null, response && JSON.parse(response)));
      submitted.on('error', settle);
    });
  }
}
