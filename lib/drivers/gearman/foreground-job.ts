import type { MillraceError } from '../../errors.ts';
import type { Job } from './submitter.ts';

/** A request, as it is asked. */
export interface Question {
  readonly id: string;
  readonly functionName: string;
  /** In JSON; empty where it is nothing. */
  readonly parameters: string;
  /** Milliseconds since 1970 from which on nobody waits for the reply, or for its first part. */
  readonly deadline: number;
  /** Whether the reply may come in parts. */
  readonly takesParts: boolean;
}

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
  deadline: number;
  /** Whether its reply may come in parts, and how many have come. */
  readonly takesParts: boolean;
  parts = 0;
  isWanted = true;
  /** What the server calls it. */
  handle: string | undefined;
  /** What its worker has said last beside the answer. */
  warning = '';
  readonly #owner: Owner;

  constructor({ id, deadline, takesParts }: Question, bytes: Buffer, owner: Owner) {
    this.id = id;
    this.bytes = bytes;
    this.deadline = deadline;
    this.takesParts = takesParts;
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
