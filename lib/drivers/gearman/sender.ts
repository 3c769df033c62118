import { randomBytes } from 'node:crypto';
import type { Body, Sender } from '../../driver.ts';
import { BackgroundJob, type Batch, closed } from './background-job.ts';
import { packet, Type } from './packets.ts';
import type { Submitter } from './submitter.ts';

/** What begins the unique ids of one sender's jobs. */
function stem(): string {
  return `millrace:${randomBytes(12).toString('base64url')}:`;
}

/**
 * Submits items as background jobs, as many on their way as are sent. A job that is not known to be created when the link breaks is
 * submitted again, under the same unique id: so it is one job with the first, as long as that is not done. The ids are needed for
 * another reason, too: a queue that is kept in a database has room for but one job without.
 */
export class GearmanSender implements Sender {
  readonly #submitter: Submitter;
  readonly #function: string;
  readonly #type: number;
  readonly #stem = stem();
  readonly #jobs = new Set<BackgroundJob>();
  #count = 0;
  #isClosed = false;
  #whenIdle: (() => void) | undefined;

  /** @param isUrgent whether what is sent goes before all others */
  constructor(submitter: Submitter, functionName: string, isUrgent = false) {
    this.#submitter = submitter;
    this.#function = functionName;
    this.#type = isUrgent ? Type.SUBMIT_JOB_HIGH_BG : Type.SUBMIT_JOB_BG;
    submitter.retain();
  }

  send(bodies: readonly Body[]): Promise<boolean> {
    if (this.#isClosed) return Promise.reject(closed());
    if (bodies.length === 0) return Promise.resolve(true);
    return new Promise((resolve, reject) => {
      const batch = { left: bodies.length, resolve, reject };
      for (const body of bodies) this.#submit(body, batch);
    });
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const job of this.#jobs) if (this.#submitter.withdraw(job)) job.fail(closed());
    if (this.#jobs.size > 0) await new Promise<void>((resolve) => (this.#whenIdle = resolve));
    this.#submitter.release();
  }

  #submit(body: Body, batch: Batch): void {
    this.#count += 1;
    const bytes = packet(this.#type, this.#function, this.#stem + this.#count, body);
    const job = new BackgroundJob(bytes, batch, {
      isClosed: () => this.#isClosed,
      settled: () => this.#settled(job),
    });
    this.#jobs.add(job);
    this.#submitter.submit(job);
  }

  #settled(job: BackgroundJob): void {
    this.#jobs.delete(job);
    if (this.#jobs.size === 0) this.#whenIdle?.();
  }
}
