import { invalidType } from '../errors.ts';
import { calledBack, type Settle } from './callbacks.ts';

/** Told what comes of a job: false and the response, or why there is none. */
// biome-ignore lint/suspicious/noExplicitAny: it is what the other end says
export type SubmitCallback = (error: any, response?: any) => void;

/** What a worker is made of. */
export interface Definition {
  /** The name of the job, of the letters of a queue's name. */
  job: string;
  /** The driver's name: the scheme of its servers' URLs. */
  driver: string;
  /** Does one job: `this.params` is its data. What it throws, or rejects with, fails the job. */
  process(this: Model, callback: Settle): unknown;
  /** Called when a job is done, before its response is sent. */
  finished?(this: Model, error: unknown): void;
}

/** What does one job. */
export interface Model extends Definition {
  /** What was submitted. */
  // biome-ignore lint/suspicious/noExplicitAny: it is what the other end says
  params: any;
  /** What the callback was called with. */
  response: unknown;
}

/** A class of workers. */
export interface ModelClass {
  new (): Model;
  readonly prototype: Model;
  /**
   * Submits a job. The callback is told false and the response, or an error: `ERR_MILLRACE_REMOTE` where the worker has failed. Without one
   * an error is a warning of the process, `MILLRACE_UNHEARD`.
   *
   * @throws ERR_INVALID_ARG_TYPE where neither the worker nor what it extends was defined or set up
   */
  submit(params: unknown, callback?: SubmitCallback): void;
}

/**
 * The base of the workers of que: an object of such a class is made for each job. It is a function, for the classes of CoffeeScript call it
 * without `new`, and copy what can be enumerated of it.
 */
export const Model = function Model() {} as unknown as ModelClass;

Model.prototype.process = function process(): unknown {
  throw new TypeError(`The worker of the job "${this.job}" has no process()`);
};

Model.submit = function submit(): void {
  throw invalidType('worker', 'what define() or setup() gave', this);
};

/** Has a job done by a worker of a class. */
export function processBy(worker: ModelClass, params: unknown): Promise<unknown> {
  return calledBack((settle) => {
    const model = new worker();
    model.params = params;
    return model.process((error, response) => {
      model.response = response;
      model.finished?.(error);
      settle(error, response);
    });
  });
}
