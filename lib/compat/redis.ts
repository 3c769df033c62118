import { connect } from '../connect.ts';
import { RedisClients, unboundedAbortController } from '../drivers/redis/clients.ts';
import { MillraceError } from '../errors.ts';
import { type PlaceOptions, targetOf } from './place.ts';

const never = unboundedAbortController().signal;

/** One for each URL. They sleep while nobody uses them. */
const shared = new Map<string, RedisClients>();

/**
 * Clients for the few words that the older projects said to Redis and the streams do not.
 *
 * @throws ERR_INVALID_ARG_VALUE where the URL is wrong; ERR_MILLRACE_NOT_SUPPORTED where it is another broker's
 */
export function clientsOf(options: PlaceOptions): RedisClients {
  const target = targetOf(options);
  // It knows which URLs are wrong, and opens nothing.
  connect(target);
  if (typeof target !== 'string') return newClients(target);
  if (!/^rediss?:/.test(target))
    throw new MillraceError('NOT_SUPPORTED', 'What spoke Redis speaks it still: no other broker will do');
  const clients = shared.get(target) ?? newClients(target);
  shared.set(target, clients);
  return clients;
}

function newClients(target: string | object): RedisClients {
  return new RedisClients(target, Number.MAX_SAFE_INTEGER);
}

/** Publishes a message, however long Redis is away. Rejects where it is refused for good. */
export async function publish(clients: RedisClients, channel: string, message: string): Promise<void> {
  await clients.use((client) => client.publish(channel, message), never);
}

const PUBLISH_KEPT = `
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('PUBLISH', ARGV[1], ARGV[2])`;

/** As {@link publish}; who was away finds the message under a key for so many milliseconds. It may be published twice. */
export async function publishKept(
  clients: RedisClients,
  channel: string,
  message: string,
  { key, expiry }: { key: string; expiry: number },
): Promise<void> {
  await clients.use((client) => client.eval(PUBLISH_KEPT, 1, key, channel, message, expiry), never);
}

/** What is under some keys: null for each where there is nothing. Waits and rejects as {@link publish}. */
export async function mget(clients: RedisClients, keys: string[]): Promise<(string | null)[]> {
  return await clients.use((client) => client.mget(keys), never);
}

const SET_LIST = `
redis.call('DEL', KEYS[1])
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])`;

/** Makes a list of one item, which expires after so many milliseconds; done twice, it is as done once. Waits and rejects as {@link publish}. */
export async function setList(clients: RedisClients, list: string, item: string, expiry: number): Promise<void> {
  await clients.use((client) => client.eval(SET_LIST, 1, list, item, expiry), never);
}

/**
 * Moves all of a list to the right end of another, what is leftmost first. Waits and rejects as {@link publish}; rejects, too, when
 * `signal` is aborted.
 */
export async function moveAll(clients: RedisClients, from: string, to: string, signal: AbortSignal): Promise<void> {
  while ((await clients.use((client) => client.lmove(from, to, 'LEFT', 'RIGHT'), signal)) !== null);
}
