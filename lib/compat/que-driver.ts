import type { EventEmitter } from 'node:events';
import { invalidType } from '../errors.ts';
import type { Backend, Processor } from './que-backend.ts';

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

/** The jobs of a driver of the user's. */
export class OwnDriver implements Backend {
  readonly #driver: QueDriver;
  #isConnected = false;

  /** @throws ERR_INVALID_ARG_TYPE where it lacks one of the four functions */
  constructor(driver: QueDriver) {
    for (const name of ['connect', 'disconnect', 'register', 'submit'] as const) {
      if (typeof driver?.[name] !== 'function') throw invalidType(`driver.${name}`, 'of type function', driver?.[name]);
    }
    this.#driver = driver;
  }

  connect(url: string): Promise<void> {
    this.#isConnected = true;
    return calledBack((callback) => this.#driver.connect(url, callback));
  }

  async disconnect(): Promise<void> {
    if (!this.#isConnected) return;
    this.#isConnected = false;
    await calledBack((callback) => this.#driver.disconnect(callback));
  }

  register(name: string, processor: Processor): void {
    this.#driver.register(name, async (params, job) => {
      let response: string | undefined;
      try {
        response = JSON.stringify(await processor(JSON.parse(params)));
      } catch (error) {
        if (job.error) job.error(error);
        else job.end(undefined);
        return;
      }
      job.end(response);
    });
  }

  submit(name: string, params: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      let response: unknown;
      const submitted = this.#driver.submit(name, JSON.stringify(params));
      submitted.on('data', (data: unknown) => {
        response = data;
      });
      submitted.on('end', () => resolve(response === undefined ? undefined : JSON.parse(String(response))));
      submitted.on('error', reject);
    });
  }
}

function calledBack(call: (callback: (error?: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    call((error) => (error ? reject(error) : resolve()));
  });
}
