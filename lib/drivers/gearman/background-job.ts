import { MillraceError } from '../../errors.ts';
import type { Job } from './submitter.ts';

/** A batch of which not all are created. */
export interface Batch {
  left: number;
  resolve(stored: boolean): void;
  reject(error: Error): void;
}

/** Who sends a job, as the job sees it. */
interface Owner {
  isClosed(): boolean;
  settled(): void;
}

/** An item on its way to a server. */
export class BackgroundJob implements Job {
  readonly bytes: Buffer;
  readonly #batch: Batch;
  readonly #owner: Owner;

  constructor(bytes: Buffer, batch: Batch, owner: Owner) {
    this.bytes = bytes;
    this.#batch = batch;
    this.#owner = owner;
  }

  created(): void {
    this.#owner.settled();
    this.#batch.left -= 1;
    if (this.#batch.left === 0) this.#batch.resolve(true);
  }

  refused(error: Error): void {
    this.fail(error);
  }

  again(): boolean {
    if (!this.#owner.isClosed()) return true;
    this.fail(closed());
    return false;
  }

  fail(error: Error): void {
    this.#owner.settled();
    this.#batch.reject(error);
  }
}

/** The error of what waited when its stream was closed. */
export function closed(): MillraceError {
  return new MillraceError('CLOSED', 'The stream was closed before Gearman had answered');
}
