import { type RedisClients, unboundedAbortController } from '../drivers/redis/clients.ts';
import { waitOnce } from '../drivers/redis/waiting.ts';
import { MillraceError, type RemoteError } from '../errors.ts';

/** How many jobs one client waits for: Redis looks at the lists of all of them each time. */
const MOST = 64;

/** Waits for the replies to jobs, each in a list of its own, with one client for many. */
export class Replies {
  readonly #clients: RedisClients;
  readonly #queue: string;
  /** What takes the result, by job. While there are any somebody runs. */
  readonly #waiting = new Map<string, (result: Promise<unknown>) => void>();
  /** Aborted to begin the wait anew, with more lists. */
  #turn = unboundedAbortController();
  /** Who waits for those that are too many for this one. */
  #others: Replies | undefined;

  constructor(clients: RedisClients, queue: string) {
    this.#clients = clients;
    this.#queue = queue;
  }

  /** The result of a job. Rejects with its failure, or with what will not heal. While it waits the process goes on. */
  wait(id: string): Promise<unknown> {
    if (this.#waiting.size >= MOST) {
      this.#others ??= new Replies(this.#clients, this.#queue);
      return this.#others.wait(id);
    }
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#turn.abort();
      if (this.#waiting.size === 1) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#clients.retain();
    while (this.#waiting.size > 0) await this.#waitOnce();
    this.#clients.release();
  }

  async #waitOnce(): Promise<void> {
    this.#turn = unboundedAbortController();
    const { signal } = this.#turn;
    const ids = [...this.#waiting.keys()];
    const lists = ids.flatMap((id) => [`${this.#queue}replies:${id}`, `${this.#queue}errors:${id}`]);
    const pop = () => waitOnce(this.#clients, signal, (client, time) => client.pop(lists, 'left', 1, time));
    try {
      const popped = await this.#clients.run(pop, signal);
      if (popped) this.#settle(String(popped[0]), String(popped[1][0]));
    } catch (error) {
      if (!signal.aborted) for (const id of ids) this.#end(id, Promise.reject(error));
    }
  }

  #settle(list: string, reply: string): void {
    const isError = list.startsWith(`${this.#queue}errors:`);
    this.#end(list.slice(list.lastIndexOf(':') + 1), resultIn(reply, isError));
  }

  #end(id: string, result: Promise<unknown>): void {
    this.#waiting.get(id)?.(result);
    this.#waiting.delete(id);
  }
}

/** The result that is said by a reply. Rejects with the failure that is said by it, or with that it is no JSON. */
async function resultIn(reply: string, isError: boolean): Promise<unknown> {
  let said: unknown;
  try {
    said = JSON.parse(reply);
  } catch (cause) {
    throw new MillraceError('INVALID_ITEM', 'Invalid reply: it is no JSON', { item: reply, cause });
  }
  if (!isError) return said;
  const remote = said as RemoteError;
  throw new MillraceError('REMOTE', remote.message, { remote });
}
