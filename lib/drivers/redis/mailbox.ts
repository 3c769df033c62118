import type { Redis } from 'ioredis';
import type { RedisClients } from './clients.ts';
import type { QueueKeys } from './keys.ts';
import { isAnswer, refusal } from './refusals.ts';

/** How far the time of an entry may lie ahead of what is known of the server's, in milliseconds. */
const SKEW = 60_000;

/** How many messages are read at a time: the server cuts a client off that subscribes and has too much to be sent to it, 32 MiB by default. */
const PAGE = 16;

/** The id of an entry of a stream: the first part is a time, the second counts from 0. */
type EntryId = readonly [time: number, count: number];

function entryIdOf(text: string): EntryId {
  const [time, count] = text.split('-').map(Number);
  return [time ?? 0, count ?? 0];
}

/** A message, and where it stands. */
type Message = readonly [id: string, replies: string];

/** What is heard before all that comes before it has been read. */
interface Held {
  readonly messages: Message[];
  /** Which of them is the first of those between which nothing is missing: it was heard behind the last subscription. */
  unbroken: number;
  /** What has been read meanwhile: it may have been heard, too. */
  readonly read: Set<string>;
}

const newHeld = (): Held => ({ messages: [], unbroken: 0, read: new Set() });

/** The replies to the requests of one queue: each message that is published is an entry of a stream first. */
export class Mailbox {
  readonly queue: string;
  readonly #key: string;
  readonly #clients: RedisClients;
  readonly #onReplies: (message: string) => void;
  users = 0;
  /** Where the message stands that was told last. */
  #last: EntryId = [0, 0];
  #swept = this.#last;
  #held: Held | undefined;
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
      this.#held.messages.push([id, replies]);
      return;
    }
    const place = entryIdOf(id);
    if (place[0] < this.#clients.now() + SKEW) this.#last = place;
    this.#onReplies(replies);
  }

  /** What is heard from now on, behind a new subscription, comes behind what is yet to be read. */
  hold(): void {
    this.#held ??= newHeld();
    this.#held.unbroken = this.#held.messages.length;
    this.#reading += 1;
  }

  /** Reads what was not heard. What is heard meanwhile may be the same. */
  async read(): Promise<void> {
    const { client } = this.#clients;
    if (!client) return;
    this.isUnread = false;
    this.#held ??= newHeld();
    const held = this.#held;
    this.#reading += 1;
    const reading = this.#reading;
    for (let isMore = true; isMore; ) {
      const page = await this.#readPage(client);
      if (!page || reading !== this.#reading) return;
      isMore = this.#tell(page, held);
    }
    this.#held = undefined;
    for (const [id, replies] of held.messages) if (!held.read.has(id)) this.hear(id, replies);
  }

  /** Deletes what has been told. */
  sweep(): void {
    const { client } = this.#clients;
    if (!client || this.#last === this.#swept) return;
    const last = this.#last;
    const [time, count] = last;
    client.xtrim(this.#key, 'MINID', `${time}-${count + 1}`).then(
      () => {
        this.#swept = last;
      },
      () => {},
    );
  }

  /** Deletes it, and tells nothing more. */
  delete(): void {
    this.#reading += 1;
    this.#clients.client?.unlink(this.#key).catch(() => {});
  }

  /** What follows on what was told last. Nothing where it is to be read again: when the connection is back, or in a moment. */
  async #readPage(client: Redis): Promise<Message[] | undefined> {
    try {
      const entries = await client.xrange(this.#key, `(${this.#last.join('-')}`, '+', 'COUNT', PAGE);
      return entries.map(([id, [, replies = '']]) => [id, replies]);
    } catch (error) {
      this.isUnread = isAnswer(error) && !refusal(error);
      return isAnswer(error) && !this.isUnread ? [] : undefined;
    }
  }

  /** Tells what has been read; gives whether there may be more that is not held. */
  #tell(page: readonly Message[], { messages, unbroken, read }: Held): boolean {
    for (const [id, replies] of page) {
      read.add(id);
      this.#last = entryIdOf(id);
      this.#onReplies(replies);
    }
    const next = messages[unbroken];
    return page.length === PAGE && !(next && read.has(next[0]));
  }
}
