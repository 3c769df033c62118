import { Client } from '../client.ts';
import { type Connection, connect } from '../connect.ts';
import { MillraceError } from '../errors.ts';
import { LONGEST_TIMER } from '../options.ts';
import { serve } from '../serve.ts';
import { warn } from './report.ts';

/** Does one job: gives its response, or fails. */
export type Processor = (params: unknown) => Promise<unknown>;

/** The brokers of one URL scheme of millrace: a job is a request to the queue of its name. */
export class Broker {
  readonly #processors = new Map<string, Processor>();
  readonly #connections: Connection[] = [];
  /** Who asks for a job, one for each connection. */
  readonly #clients = new Map<string, readonly Client[]>();
  #submitted = 0;

  /** Connects to one more server; resolves when it answers. */
  async connect(url: string): Promise<void> {
    const connection = connect(url);
    this.#connections.push(connection);
    for (const job of this.#processors.keys()) this.#work(job, connection);
    await connection.ready;
  }

  /** Lets go of all servers, when what is done there is done. */
  async disconnect(): Promise<void> {
    this.#clients.clear();
    await Promise.all(this.#connections.splice(0).map((connection) => connection.close()));
  }

  /** Has the jobs of a name done. The last who is registered for one does its jobs. */
  register(job: string, processor: Processor): void {
    if (!this.#processors.has(job)) for (const connection of this.#connections) this.#work(job, connection);
    this.#processors.set(job, processor);
  }

  /** The response to a job. */
  async submit(job: string, params: unknown): Promise<unknown> {
    const clients = this.#clients.get(job) ?? [];
    const client = clients[this.#submitted % clients.length];
    if (!client) throw new MillraceError('CLOSED', `The job "${job}" was submitted while que was not connected`);
    this.#submitted += 1;
    return await client.request('default', params);
  }

  /** Works, and can ask, until the connection is closed. That it can't is told to who connects, too. */
  #work(job: string, connection: Connection): void {
    const processor = (params: unknown): unknown => this.#processors.get(job)?.(params);
    serve(job, processor, { connection }).closed.catch(warn);
    const client = new Client(job, { connection, timeout: LONGEST_TIMER });
    this.#clients.set(job, [...(this.#clients.get(job) ?? []), client]);
  }
}
