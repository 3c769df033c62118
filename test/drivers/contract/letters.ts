import type { DriverConnection, Inbox } from '../../../lib/driver.ts';
import { isReply, packetsIn, type ReplyPacket } from '../../../lib/packet.ts';

/** An inbox, and what has come into it. */
export class Letters {
  readonly replies: ReplyPacket[] = [];
  #changed: (() => void) | undefined;
  readonly inbox: Inbox;

  constructor(connection: DriverConnection) {
    this.inbox = connection.inbox((message) => {
      this.replies.push(...packetsIn(message).filter(isReply));
      this.#changed?.();
    });
  }

  async ids(count: number): Promise<string[]> {
    while (this.replies.length < count) await new Promise<void>((resolve) => (this.#changed = resolve));
    return this.replies.map(({ id }) => id);
  }
}
