import { randomBytes } from 'node:crypto';
import type { Inbox } from '../../driver.ts';
import { REPLIES } from '../../packet.ts';
import type { RedisClients } from './clients.ts';
import { QueueKeys } from './keys.ts';
import { Mailbox } from './mailbox.ts';
import type { Listener } from './subscriptions.ts';

/** How often mailboxes are rid of what has been heard, and read by who may not subscribe, in milliseconds. */
const SWEEP = 1000;

/**
 * Listens for replies at a channel of 128 random bits. What a worker publishes there it puts into the queue's mailbox first, from
 * which it is read when the connection was broken: no answer is lost. A message says where it stands: '<entry> <queue> <replies>'. What
 * comes from elsewhere is the bare reply.
 */
export class RedisInbox implements Inbox, Listener {
  readonly channel: string = REPLIES + randomBytes(16).toString('base64url');
  readonly #clients: RedisClients;
  readonly #prefix: string;
  readonly #onReplies: (message: string) => void;
  readonly #mailboxes = new Map<string, Mailbox>();
  readonly #unlisten: () => void;
  readonly #sweeping: NodeJS.Timeout;

  constructor(clients: RedisClients, prefix: string, onReplies: (message: string) => void) {
    this.#clients = clients;
    this.#prefix = prefix;
    this.#onReplies = onReplies;
    this.#unlisten = clients.subscriptions.listen(this.channel, this);
    this.#sweeping = setInterval(() => this.#sweep(), SWEEP).unref();
  }

  watch(queue: string): () => void {
    const keys = new QueueKeys(this.#prefix + queue);
    const mailbox = this.#mailboxes.get(keys.queue) ?? new Mailbox(this.#clients, keys, this.channel, this.#onReplies);
    this.#mailboxes.set(mailbox.queue, mailbox);
    mailbox.users += 1;
    return () => {
      mailbox.users -= 1;
      if (mailbox.users > 0) return;
      this.#mailboxes.delete(mailbox.queue);
      mailbox.delete();
    };
  }

  close(): void {
    clearInterval(this.#sweeping);
    for (const mailbox of this.#mailboxes.values()) mailbox.delete();
    this.#mailboxes.clear();
    this.#unlisten();
  }

  hear(message: string): void {
    const found = /^(\d+-\d+) (\S+) /.exec(message);
    const mailbox = found && this.#mailboxes.get(found[2] as string);
    const replies = found ? message.slice(found[0].length) : message;
    if (mailbox) mailbox.hear(found[1] as string, replies);
    else this.#onReplies(replies);
  }

  prepare(): void {
    for (const mailbox of this.#mailboxes.values()) mailbox.hold();
  }

  begin(): void {
    for (const mailbox of this.#mailboxes.values()) void mailbox.read();
  }

  #sweep(): void {
    const isDeaf = this.#clients.subscriptions.isRefused(this.channel);
    for (const mailbox of this.#mailboxes.values()) {
      if (isDeaf || mailbox.isUnread) void mailbox.read();
      mailbox.sweep();
    }
  }
}
