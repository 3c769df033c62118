import type { Held, HeldRequest } from '../../driver.ts';
import type { WorkerLink } from './worker-link.ts';

/** A job that a link has been assigned: as long as the link is open it is no one else's. */
export class HeldJob implements Held {
  readonly link: WorkerLink;
  /** What the server calls it. */
  readonly handle: string;
  readonly bytes: Buffer;
  readonly attempt: number;
  readonly request: HeldRequest;
  owner: unknown = undefined;

  constructor(link: WorkerLink, handle: string, bytes: Buffer, request: HeldRequest, attempt = 1) {
    this.link = link;
    this.handle = handle;
    this.bytes = bytes;
    this.request = request;
    this.attempt = attempt;
  }

  /** The same job, for one attempt more. */
  again(): HeldJob {
    return new HeldJob(this.link, this.handle, this.bytes, this.request, this.attempt + 1);
  }
}
