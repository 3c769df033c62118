import type { MillraceError } from '../../errors.ts';
import type { Job } from './submitter.ts';

/** Who has a request asked, as its job sees it. */
interface Owner {
  /** Called when a server has it. */
  created(handle: string): void;
  /** Called when the link broke, and nobody knows what becomes of it. */
  lost(): void;
  refused(error: MillraceError): void;
  /** Called, at last, when no server has it nor will have it. */
  over(): void;
}

/** A request on its way to a server, and until it is answered. */
export class ForegroundJob implements Job {
  readonly id: string;
  readonly bytes: Buffer;
  /** Milliseconds since 1970. */
  readonly deadline: number;
  isWanted = true;
  /** What the server calls it. */
  handle: string | undefined;
  /** What its worker has said last beside the answer. */
  warning = '';
  readonly #owner: Owner;

  constructor(id: string, bytes: Buffer, deadline: number, owner: Owner) {
    this.id = id;
    this.bytes = bytes;
    this.deadline = deadline;
    this.#owner = owner;
  }

  created(handle: string): void {
    this.handle = handle;
    this.#owner.created(handle);
  }

  refused(error: MillraceError): void {
    this.#owner.refused(error);
    this.#owner.over();
  }

  again(why: 'broken' | 'full'): boolean {
    if (why === 'full' && this.isWanted) return true;
    this.#owner.lost();
    this.#owner.over();
    return false;
  }

  /** It is not to be sent. */
  giveUp(): void {
    this.#owner.over();
  }
}
