import { Client } from '../client.ts';
import { type Connection, connect } from '../connect.ts';
import { MillraceError } from '../errors.ts';
import { LONGEST_TIMER } from '../options.ts';
import { serve } from '../serve.ts';
import type { Backend, Processor } from './que-backend.ts';

/** A connection, and who asks there, by job. */
interface Link {
  readonly connection: Connection;
  readonly clients: Map<string, Client>;
}

/** The brokers of one URL scheme of millrace: a job is a request to the queue of its name. */
export class Broker implements Backend {
  readonly #processors = new Map<string, Processor>();
  readonly #links: Link[] = [];
  #submitted = 0;

  async connect(url: string): Promise<void> {
    const connection = connect(url);
    this.#links.push({ connection, clients: new Map() });
    for (const job of this.#processors.keys()) this.#work(job, connection);
    await connection.ready;
  }

  async disconnect(): Promise<void> {
    const links = this.#links.splice(0);
    await Promise.all(links.map(({ connection }) => connection.close()));
  }

  register(job: string, processor: Processor): void {
    const isKnown = this.#processors.has(job);
    // The last one of a name does its jobs.
    this.#processors.set(job, processor);
    if (!isKnown) for (const { connection } of this.#links) this.#work(job, connection);
  }

  async submit(job: string, params: unknown): Promise<unknown> {
    const link = this.#links[this.#submitted % this.#links.length];
    if (!link) throw new MillraceError('CLOSED', `The job "${job}" was submitted while que was not connected`);
    this.#submitted += 1;
    const { connection, clients } = link;
    const client = clients.get(job) ?? new Client(job, { connection, timeout: LONGEST_TIMER });
    clients.set(job, client);
    return await client.request('default', params);
  }

  /** Works until the connection is closed. That it can't is told to who connects, or else a warning of the process. */
  #work(job: string, connection: Connection): void {
    const processor: Processor = (params) => (this.#processors.get(job) as Processor)(params);
    serve(job, processor, { connection }).closed.catch((error) => {
      process.emitWarning(String(error), { code: 'MILLRACE_UNHEARD' });
    });
  }
}
