import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Body, SenderOptions } from '../../driver.ts';
import type { QueueKeys } from './keys.ts';
import { inOneWrite } from './link.ts';
import { clock, scripts } from './scripts/index.ts';
import type { Settlement } from './settlement.ts';

/** For how many seconds the last number of a producer is kept: of one with a name of its own, and of one that may only send again what was not answered. */
const NAMED_TTL = 24 * 60 * 60;
const ANONYMOUS_TTL = 60 * 60;

/** For how many seconds a command may be carried out late, that was on its way when its connection broke. */
const LATE = 60;

/** How often a queue is marked while it is pushed to, in milliseconds: what waits is known to be so old to about that. */
const MARK = 1000;

/** From how many items, or bytes, on it costs less to push them past Lua: a transaction is four commands. */
const MANY = 48;
const LARGE = 8192;

/** Items to be stored, of which the first has a number. */
export interface Numbered {
  readonly items: readonly Body[];
  readonly first: number;
  /** The highest number known to be stored. */
  readonly stored: number;
  /** In milliseconds; 0 for at once. */
  readonly delay: number;
}

/**
 * What a sender says to the server, by the client that is given, in the name of a producer. The number of the last item that is stored
 * answers.
 */
export class SenderCommands {
  readonly #keys: QueueKeys;
  readonly #command: 'LPUSH' | 'RPUSH';
  readonly #maxLength: number;
  readonly #isNamed: boolean;
  #record: string;
  #marked = Number.NEGATIVE_INFINITY;

  constructor(keys: QueueKeys, { side, maxLength = 0, producer }: SenderOptions) {
    this.#keys = keys;
    this.#command = side === 'left' ? 'LPUSH' : 'RPUSH';
    this.#maxLength = maxLength;
    this.#isNamed = producer !== undefined;
    this.#record = keys.producer(producer ?? randomUUID());
  }

  /** Stores items, as far as there is room. */
  push(client: Redis, batch: Numbered, mayTransact: boolean): Promise<number> {
    const mayMark = this.#mayMark();
    const isPlain = this.#maxLength === 0 && batch.delay === 0;
    // Where more is stored than comes before the first, it may be there already.
    if (mayTransact && isPlain && !mayMark && batch.stored < batch.first && isMuch(batch.items)) {
      return this.#transact(client, batch);
    }
    return client.millracePush(...this.#targets, ...this.#how(batch, mayMark), ...batch.items);
  }

  /** Stores items made of what a consumer holds, which it settles; or says what a script says of one that does not hold it. */
  hop(client: Redis, batch: Numbered, { keys, args }: Settlement): Promise<number> {
    return client.millraceHop(...this.#targets, ...keys, ...this.#how(batch, this.#mayMark()), ...args, ...batch.items);
  }

  /** Begins to count anew, for another record, so that no command of the old numbers can be carried out late. */
  renew(client: Redis | undefined, hasFailed: boolean): void {
    this.forget(client, hasFailed);
    this.#record = this.#keys.producer(randomUUID());
  }

  /** Lets go of numbers that are of no use any more, but for what may come late; those of a name outlive this. */
  forget(client: Redis | undefined, hasFailed: boolean): void {
    if (this.#isNamed || !client) return;
    const forgotten = hasFailed ? client.expire(this.#record, LATE) : client.unlink(this.#record);
    forgotten.catch(() => {});
  }

  get #targets(): [queue: string, record: string, marks: string, delayed: string] {
    return [this.#keys.queue, this.#record, this.#keys.marks, this.#keys.delayed];
  }

  get #ttl(): number {
    return this.#isNamed ? NAMED_TTL : ANONYMOUS_TTL;
  }

  #how({ first, stored, delay }: Numbered, mayMark: boolean): (string | number)[] {
    return [
      clock.offset,
      this.#command,
      first,
      stored,
      this.#ttl,
      this.#maxLength,
      delay,
      this.#keys.wake,
      mayMark ? 1 : 0,
    ];
  }

  /** Stores items by the command itself, and takes them back where they do not follow on the last that is stored: all in one step. */
  async #transact(client: Redis, { items, first, stored }: Numbered): Promise<number> {
    const [queue, record, marks] = this.#targets;
    const { lua, numberOfKeys } = scripts.millraceConfirm;
    const answers = inOneWrite(client, () => [
      client.call('MULTI'),
      client.call(this.#command, queue, ...items),
      // As text: where the server did not know the script, the rest of a transaction would be carried out.
      client.eval(lua, numberOfKeys, queue, record, marks, this.#command, first, stored, items.length, this.#ttl),
      client.call('EXEC'),
    ]);
    const [, , , replies] = await Promise.all(answers);
    const last = (replies as unknown[])[1];
    if (last instanceof Error) throw last;
    return last as number;
  }

  /** Whether it is time to mark the queue, as far as is known here. */
  #mayMark(): boolean {
    const now = performance.now() + clock.offset;
    if (now - this.#marked < MARK) return false;
    this.#marked = now;
    return true;
  }
}

function isMuch(items: readonly Body[]): boolean {
  if (items.length >= MANY) return true;
  let length = 0;
  for (const item of items) length += item.length;
  return length >= LARGE;
}
