import { randomBytes } from 'node:crypto';
import type { Inbox, Reply } from '../../driver.ts';
import { messagesOf, REPLIES } from '../../packet.ts';

/** Where replies go: those who listen, by their channels. A reply to a channel that nobody listens to is gone. */
export class Inboxes {
  readonly #listeners = new Map<string, (message: string) => void>();

  open(onReplies: (message: string) => void): Inbox {
    const channel = REPLIES + randomBytes(16).toString('base64url');
    this.#listeners.set(channel, onReplies);
    return {
      channel,
      watch: () => () => {},
      close: () => this.#listeners.delete(channel),
    };
  }

  /** Publishes replies, in a tick of its own. */
  publish(replies: readonly Reply[]): void {
    for (const { channel, text } of messagesOf(replies)) {
      process.nextTick(() => this.#listeners.get(channel)?.(text));
    }
  }
}
