import * as Que from '../../../lib/compat/que.ts';

/** Connects; rejects with what is called back. */
export const connect = (...servers: string[]): Promise<void> =>
  new Promise((resolve, reject) => Que.connect(servers, (error) => (error ? reject(error) : resolve())));

export const disconnect = (): Promise<void> =>
  new Promise((resolve, reject) => Que.disconnect((error) => (error ? reject(error) : resolve())));

/** Submits a job; rejects with the error that is called back. */
export function submit(worker: Que.ModelClass, params: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    worker.submit(params, (error, response) => (error === false ? resolve(response) : reject(error)));
  });
}
