import type { Abortable } from './abort-listeners.ts';
import type { Asker } from './asker.ts';
import type { Bagged } from './bag.ts';
import type { Asked } from './desk.ts';
import type { PartPacket, ProgressPacket, ReplyPacket } from './packet.ts';
import { abortErrorOf } from './request-errors.ts';
import type { Terms } from './request-options.ts';

/** A request, from {@link Asker.ask} until it is settled, which it is once: by one of its two methods. */
export abstract class Pending implements Bagged, Asked, Abortable {
  readonly method: string;
  readonly terms: Terms;
  /** Not -1 as long as it is not settled. */
  place = -1;
  // All that follows is its asker's.
  asker: Asker | undefined = undefined;
  parameters: string | undefined = undefined;
  slot = -1;
  /** Empty before it has a slot, as the body. */
  id = '';
  body = '';
  deadline = 0;
  isSent = false;
  isLookedAfter = false;
  timer: NodeJS.Timeout | undefined = undefined;

  constructor(method: string, terms: Terms) {
    this.method = method;
    this.terms = terms;
  }

  /** How many parts of a reply it takes before it says that it takes more; nothing: it is for one reply. */
  get parts(): number | undefined {
    return undefined;
  }

  /** Called with what it was answered with, which may be undefined or null; or with how many parts it was answered in. */
  abstract fulfilled(data: unknown, parts: number | undefined): void;
  /** Called with why it was not. */
  abstract rejected(error: Error): void;

  /** Called with how whoever worked on it has failed. */
  failed(error: Error): void {
    this.rejected(error);
  }

  answered(reply: ReplyPacket): void {
    this.asker?.answer(this, reply);
  }

  lost(): void {
    this.asker?.lose(this);
  }

  progressed({ done, total }: ProgressPacket): void {
    const { onProgress } = this.terms;
    // In a tick of its own: what it throws is its owner's.
    if (onProgress) process.nextTick(onProgress, done, total);
  }

  /** Called with a part of a reply; gives whether that was to be expected. */
  part(_part: PartPacket): boolean {
    return false;
  }

  abort(reason: unknown): void {
    this.asker?.giveUp(this, abortErrorOf(reason));
  }
}
