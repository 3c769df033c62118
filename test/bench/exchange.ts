import type { BrokerKind } from './brokers.ts';
import type { Job } from './case.ts';

/** One who asks. */
export interface Asker {
  ask(job: Job): Promise<{ id: number }>;
}

/** One way to ask and to answer, through a broker. */
export interface Exchange {
  readonly broker: BrokerKind;
  /** Answers each job with its id until the process ends; resolves when it is ready. */
  serve(url: string): Promise<unknown>;
  connect(url: string): Promise<Asker> | Asker;
}

/** What is asked for. */
export const METHOD = 'echo';

/** What answers it, of all of them. */
export const echo = async ({ id }: Job): Promise<{ id: number }> => ({ id });
