import type { Redis } from 'ioredis';
import type { QueueKeys } from '../../lib/drivers/redis/keys.ts';
import { scripts } from '../../lib/drivers/redis/scripts/index.ts';

/** From how many items, or bytes, on a transaction costs less than a script through which they all go. */
const MANY = 48;
const LARGE = 8192;

/** For how many seconds the number of the last item is kept. */
const TTL = 3600;

/** Who pushes items under numbers, by which each is stored once, as fast as ioredis can. */
export class RawProducer {
  readonly #redis: Redis;
  readonly #keys: QueueKeys;
  readonly #record: string;
  #next = 1;
  #stored = 0;

  /** @param redis a client that is connected, and has the scripts of the package */
  constructor(redis: Redis, keys: QueueKeys) {
    this.#redis = redis;
    this.#keys = keys;
    this.#record = keys.producer('raw');
  }

  async push(items: readonly string[]): Promise<void> {
    const first = this.#next;
    this.#next += items.length;
    const bytes = items.reduce((sum, { length }) => sum + length, 0);
    this.#stored =
      items.length >= MANY || bytes >= LARGE ? await this.#transact(first, items) : await this.#say(first, items);
  }

  async forget(): Promise<void> {
    await this.#redis.unlink(this.#record);
  }

  #say(first: number, items: readonly string[]): Promise<number> {
    const { queue, marks, delayed, wake } = this.#keys;
    const how = [0, 'LPUSH', first, this.#stored, TTL, 0, 0, wake, 0];
    return this.#redis.millracePush(queue, this.#record, marks, delayed, ...how, ...items);
  }

  async #transact(first: number, items: readonly string[]): Promise<number> {
    const { queue, marks } = this.#keys;
    const { lua, numberOfKeys } = scripts.millraceConfirm;
    const where = [queue, this.#record, marks];
    const redis = this.#redis;
    redis.stream.cork();
    const answers = [
      redis.call('MULTI'),
      redis.lpush(queue, ...items),
      redis.eval(lua, numberOfKeys, ...where, 'LPUSH', first, this.#stored, items.length, TTL),
      redis.call('EXEC'),
    ];
    redis.stream.uncork();
    const [, , , replies] = await Promise.all(answers);
    return (replies as [length: number, last: number])[1];
  }
}
