import type { RedisClients } from './clients.ts';
import type { BlockingClient } from './pool.ts';
import { isAnswer } from './refusals.ts';

/**
 * Waits once with a blocking client that is borrowed for it: what the pop gives, or nothing where its time was over or `signal`
 * was aborted. Rejects with what befalls the client, which is thrown away where its connection broke.
 */
export async function waitOnce<Found>(
  clients: RedisClients,
  signal: AbortSignal,
  pop: (client: BlockingClient, milliseconds: number) => Promise<Found>,
): Promise<Found | undefined> {
  // While the broker is away the client for commands does the knocking.
  await clients.online(signal);
  const client = await borrow(clients, signal);
  if (!client) return undefined;
  try {
    const found = await popWith(clients, client, signal, pop);
    clients.pool.release(client);
    return found;
  } catch (error) {
    if (isAnswer(error)) clients.pool.release(client);
    else clients.pool.destroy(client);
    throw error;
  }
}

/** A blocking client, unless `signal` is aborted first: then the client that comes goes straight back. */
async function borrow({ pool }: RedisClients, signal: AbortSignal): Promise<BlockingClient | undefined> {
  const spare = pool.reuse();
  if (spare) return spare;
  const borrowing = pool.acquire();
  const client = await untilAborted(borrowing, signal);
  if (!client) borrowing.then((late) => pool.release(late)).catch(() => {});
  return client;
}

async function popWith<Found>(
  clients: RedisClients,
  client: BlockingClient,
  signal: AbortSignal,
  pop: (client: BlockingClient, milliseconds: number) => Promise<Found>,
): Promise<Found | undefined> {
  if (!client.isOpen) await untilAborted(client.open(), signal);
  if (signal.aborted) return undefined;
  let unblocking: Promise<void> | undefined;
  const unblock = (): void => {
    unblocking = client.unblock(clients);
  };
  signal.addEventListener('abort', unblock);
  try {
    return await pop(client, clients.pool.turn);
  } finally {
    signal.removeEventListener('abort', unblock);
    await unblocking;
  }
}

/** What a promise gives, or nothing when `signal` is aborted first. */
export async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  promise.catch(() => {});
  if (signal.aborted) return undefined;
  let abort: (() => void) | undefined;
  const aborted = new Promise<undefined>((resolve) => {
    abort = () => resolve(undefined);
    signal.addEventListener('abort', abort);
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    if (abort) signal.removeEventListener('abort', abort);
  }
}
