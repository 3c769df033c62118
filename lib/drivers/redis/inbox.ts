import { randomBytes } from 'node:crypto';
import type { Inbox } from '../../driver.ts';
import { REPLIES } from '../../packet.ts';
import type { RedisClients } from './clients.ts';
import { QueueKeys } from './keys.ts';
import { isAnswer, refusal } from './refusals.ts';
import type { Listener } from './subscriptions.ts';

/** How often mailboxes are rid of what has been heard, and read by who may not subscribe, in milliseconds. */
const SWEEP = 1000;

/** How far the time of an entry may lie ahead of what is known of the server's, in milliseconds. */
const SKEW = 60_000;

/** The id of an entry of a stream: the first part is a time, the second counts from 0. */
type EntryId = readonly [time: number, count: number];

const FIRST: EntryId = [0, 0];

function entryIdOf(text: string): EntryId {
  const [time, count] = text.split('-').map(Number);
  return [time ?? 0, count ?? 0];
}

function isBehind([time, count]: EntryId, other: EntryId): boolean {
  return time > other[0] || (time === other[0] && count > other[1]);
}

/** The replies to the requests of one queue: each message that is published is an entry of a stream first. */
class Mailbox {
  readonly queue: string;
  readonly #key: string;
  readonly #clients: RedisClients;
  readonly #onReplies: (message: string) => void;
  users = 0;
  #last = FIRST;
  #swept = FIRST;
  /** What has been heard before all that comes before it has been read. */
  #held: (readonly [id: string, replies: string])[] | undefined;
  #reading = 0;
  /** Whether it could not be read, because the server was busy or the like. */
  isUnread = false;

  constructor(clients: RedisClients, keys: QueueKeys, channel: string, onReplies: (message: string) => void) {
    this.queue = keys.queue;
    this.#key = keys.mailbox(channel) as string;
    this.#clients = clients;
    this.#onReplies = onReplies;
  }

  /** A message that stands in the mailbox at a place. One that is said to be of the future is heard, and not believed. */
  hear(id: string, replies: string): void {
    if (this.#held) {
      this.#held.push([id, replies]);
      return;
    }
    const place = entryIdOf(id);
    if (isBehind(place, this.#last) && place[0] < this.#clients.now() + SKEW) this.#last = place;
    this.#onReplies(replies);
  }

  /** What is heard from now on comes behind what is yet to be read. */
  hold(): void {
    this.#held ??= [];
    this.#reading += 1;
  }

  /** Reads what was not heard. What is heard meanwhile may be the same. */
  async read(): Promise<void> {
    const { client } = this.#clients;
    if (!client) return;
    this.isUnread = false;
    this.hold();
    const reading = this.#reading;
    let entries: [id: string, fields: string[]][] = [];
    try {
      entries = await client.xrange(this.#key, `(${this.#last.join('-')}`, '+');
    } catch (error) {
      // It is read again: when the connection is back, or in a moment.
      this.isUnread = isAnswer(error) && !refusal(error);
      if (!isAnswer(error) || this.isUnread) return;
    }
    if (reading !== this.#reading) return;
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const [id, [, replies = '']] of entries) this.hear(id, replies);
    const read = new Set(entries.map(([id]) => id));
    for (const [id, replies] of held) if (!read.has(id)) this.hear(id, replies);
  }

  /** Deletes what has been heard. */
  sweep(): void {
    const { client } = this.#clients;
    if (!client || !isBehind(this.#last, this.#swept)) return;
    const last = this.#last;
    const [time, count] = last;
    client.xtrim(this.#key, 'MINID', `${time}-${count + 1}`).then(
      () => {
        this.#swept = last;
      },
      () => {},
    );
  }

  delete(): void {
    this.#clients.client?.unlink(this.#key).catch(() => {});
  }
}

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
  #rests = false;

  constructor(clients: RedisClients, prefix: string, onReplies: (message: string) => void) {
    this.#clients = clients;
    this.#prefix = prefix;
    this.#onReplies = onReplies;
    clients.retain();
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

  unref(): void {
    if (this.#rests) return;
    this.#rests = true;
    this.#clients.rest();
  }

  ref(): void {
    if (!this.#rests) return;
    this.#rests = false;
    this.#clients.wake();
  }

  close(): void {
    this.ref();
    clearInterval(this.#sweeping);
    this.#unlisten();
    for (const mailbox of this.#mailboxes.values()) mailbox.delete();
    this.#mailboxes.clear();
    this.#clients.release();
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
