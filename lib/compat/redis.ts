import type { Redis } from 'ioredis';
import { Connection, connect, everything } from '../connect.ts';
import type { Driver } from '../driver.ts';
import { RedisClients, unboundedAbortController } from '../drivers/redis/clients.ts';
import { RedisConnection } from '../drivers/redis/connection.ts';
import { MillraceError } from '../errors.ts';
import { type PlaceOptions, targetOf } from './place.ts';

/** Makes a list of one item, which expires after a while, and publishes that at a channel, where there is one. */
const ANSWER = `
redis.call('DEL', KEYS[1])
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if ARGV[3] ~= '' then redis.call('PUBLISH', ARGV[3], ARGV[1]) end`;

const never = unboundedAbortController().signal;

/**
 * A Redis that is spoken to by streams, and by the few words that the older projects said and streams do not: by the same client, so that
 * what is said first comes first.
 */
export class RedisPlace {
  readonly clients: RedisClients;
  /** For the streams. */
  readonly connection: Connection;

  /** @param target a URL, or an ioredis client whose options ours take over */
  constructor(target: string | object) {
    this.clients = new RedisClients(target, Number.MAX_SAFE_INTEGER);
    const connectRedis: Driver['connect'] = async (_, { prefix }) => new RedisConnection(this.clients, prefix);
    this.connection = new Connection(target, { supports: everything, connect: connectRedis }, {});
  }

  /** Sends a command, however long Redis is away, and maybe more than once. Rejects where it is refused for good. */
  ask<Answer>(command: (client: Redis) => Promise<Answer>): Promise<Answer> {
    return this.clients.use(command, never);
  }

  /** Puts an answer into a list of its own, where it lies for so many milliseconds; publishes it, too, where there is a `channel`. */
  async answer(list: string, text: string, expiry: number, channel = ''): Promise<void> {
    await this.ask((client) => client.eval(ANSWER, 1, list, text, expiry, channel));
  }
}

/** One for each URL. They sleep while nobody uses them. */
const shared = new Map<string, RedisPlace>();

/**
 * The Redis that is meant.
 *
 * @throws ERR_INVALID_ARG_VALUE where the URL is wrong; ERR_MILLRACE_NOT_SUPPORTED where it is another broker's
 */
export function redisAt(options: PlaceOptions): RedisPlace {
  const target = targetOf(options);
  // It knows which URLs are wrong, and opens nothing.
  connect(target);
  if (typeof target !== 'string') return new RedisPlace(target);
  if (!/^rediss?:/.test(target))
    throw new MillraceError('NOT_SUPPORTED', 'What spoke Redis speaks it still: no other broker will do');
  const place = shared.get(target) ?? new RedisPlace(target);
  shared.set(target, place);
  return place;
}
