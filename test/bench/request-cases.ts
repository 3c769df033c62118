import { Client, connect, serve } from 'millrace';
import { type Case, check, type Job, job } from './case.ts';
import { echo, METHOD } from './exchange.ts';

/** How many are worked on at a time. */
const CONCURRENCY = 256;

/** How many are in flight, by what that is called in the tables. */
export const requestCases: Record<string, Case> = {
  'requests, one alone': asking(1),
  'requests, 64 in flight': asking(64),
  'requests, 1,024 in flight': asking(1024),
};

/** Asks and answers in one process. */
function asking(inFlight: number): Case {
  return async (url, queue, count) => {
    const connection = connect(url);
    const service = serve(queue, { [METHOD]: echo }, { connection: url, concurrency: CONCURRENCY });
    await service.ready;
    const client = new Client(queue, { connection });
    let next = 0;
    let sum = 0;
    const lane = async (): Promise<void> => {
      while (next < count) {
        const { id } = (await client.request(METHOD, job(next++))) as Job;
        sum += id;
      }
    };
    await Promise.all(Array.from({ length: inFlight }, lane));
    check(sum, count);
    await connection.close();
    await service.close();
  };
}
