import { setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis, type RedisOptions } from 'ioredis';
import type { ConnectionStats } from '../../driver.ts';
import { MillraceError } from '../../errors.ts';
import { watchLink } from './link.ts';
import { BlockingPool } from './pool.ts';
import { isAnswer, refusal } from './refusals.ts';
import { clock, scripts } from './scripts/index.ts';
import { examine } from './server.ts';
import { Subscriptions } from './subscriptions.ts';
import { Wakes } from './wakes.ts';

/**
 * What every client of ours has in common, whatever the user's own has: no command is sent twice by ioredis itself, and none
 * waits in a queue that we cannot see. Whether the server is ready we look ourselves, once.
 */
const PROFILE = {
  lazyConnect: true,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  enableReadyCheck: false,
  connectTimeout: 3000,
  disconnectTimeout: 200,
  enableAutoPipelining: false,
  keyPrefix: '',
  readOnly: false,
  monitor: false,
  stringNumbers: false,
  replyMapping: 'legacy',
  reconnectOnError: null,
  // RESP3: a client that subscribes can still send commands.
  protocol: 3,
  autoResubscribe: false,
} as const satisfies RedisOptions;

/** The one client for commands reconnects by itself, at least once a second. */
const COMMANDS = {
  ...PROFILE,
  scripts,
  retryStrategy: (attempt: number) => Math.min(25 * 2 ** attempt, 1000),
} as const satisfies RedisOptions;

/** A client that blocks is thrown away when its connection breaks. */
const BLOCKING = { ...PROFILE, scripts, retryStrategy: () => null } as const satisfies RedisOptions;

/** What a user's own client may have and ours must not: with these a pop is given up while it may still take an item. */
const NO_TIMEOUTS = { commandTimeout: undefined, blockingTimeout: undefined, socketTimeout: undefined };

/** How long a client stays open when no stream needs it, in milliseconds. It does not keep the process alive meanwhile. */
const IDLE = 1000;

/** How long who comes anew takes nobody for dead, in milliseconds. */
const MOMENT = 1500;

interface Waiter {
  resolve(client: Redis): void;
  reject(reason: Error): void;
  settled?: () => void;
}

/** The clients of one connection: one for commands, and a pool of those that wait for items. */
export class RedisClients {
  readonly pool: BlockingPool;
  readonly subscriptions: Subscriptions = new Subscriptions(this);
  readonly wakes: Wakes = new Wakes(this);
  readonly #newClient: (profile: RedisOptions) => Redis;
  /** The client for commands: opened when first needed, replaced never while it lives. */
  #commands: Redis | undefined;
  /** The same one, once the server has been found fit. */
  #fit: Redis | undefined;
  #welcomed = { at: 0, isFirst: true, serverSince: 0 };
  /** The server's time at the beginning of ours, as last heard, in milliseconds since 1970. */
  #epoch = performance.timeOrigin;
  #mayTransact = false;
  #users = 0;
  #idle: NodeJS.Timeout | undefined;
  #closed = false;
  readonly #waiters = new Set<Waiter>();

  /** @param target a URL, or an ioredis client whose options ours take over */
  constructor(target: string | object, maxClients: number) {
    // Options that come first win, so a URL's own (`?keyPrefix=…`) cannot undo the profile.
    const fromUrl = Redis as unknown as new (profile: RedisOptions, url: string) => Redis;
    this.#newClient = (profile) =>
      typeof target === 'string'
        ? new fromUrl(profile, target)
        : (target as Redis).duplicate({ ...profile, ...NO_TIMEOUTS } as RedisOptions);
    this.pool = new BlockingPool(() => this.#listened(BLOCKING), maxClients);
  }

  stats(): ConnectionStats {
    return { clients: (this.#commands ? 1 : 0) + this.pool.size, waiting: this.pool.waiting };
  }

  async ready(signal?: AbortSignal): Promise<void> {
    this.retain();
    try {
      await this.online(signal);
    } finally {
      this.release();
    }
  }

  /** Says that somebody needs the connection: it is opened, and keeps the process alive. */
  retain(): void {
    this.#users += 1;
    if (this.#users > 1 || this.#closed) return;
    clearTimeout(this.#idle);
    if (this.#commands) this.#commands.stream?.ref();
    else this.#open();
  }

  /** Takes a {@link retain} back. */
  release(): void {
    this.#users -= 1;
    if (this.#users > 0 || this.#closed) return;
    void this.pool.clear();
    if (this.client) {
      this.client.stream.unref();
      this.#idle = setTimeout(() => this.#drop(), IDLE).unref();
    } else {
      this.#drop();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#idle);
    this.wakes.close();
    this.#drop();
    this.#failWaiters(new MillraceError('CLOSED', 'The connection is closed'));
    await this.pool.close();
  }

  /** The client for commands as soon as it can take one. Rejects with what will not heal, and when `signal` is aborted. */
  online(signal?: AbortSignal): Redis | Promise<Redis> {
    if (this.#closed || signal?.aborted) return Promise.reject(closedError());
    if (this.client) return this.client;
    return new Promise<Redis>((resolve, reject) => {
      const waiter: Waiter = { resolve, reject };
      const abort = (): void => {
        this.#waiters.delete(waiter);
        reject(closedError());
      };
      if (signal) {
        signal.addEventListener('abort', abort);
        waiter.settled = () => signal.removeEventListener('abort', abort);
      }
      this.#waiters.add(waiter);
      if (!this.#commands) this.#open();
    });
  }

  /**
   * Sends a command until Redis has answered it, however often the connection breaks: it may be carried out more than once.
   * Rejects with a refusal that will not pass, and when `signal` is aborted.
   */
  async run<Answer>(command: (client: Redis) => Promise<Answer>, signal: AbortSignal): Promise<Answer> {
    for (let failures = 0; ; failures += 1) {
      const client = this.client ?? (await this.online(signal));
      try {
        return await command(client);
      } catch (error) {
        await this.recover(error, failures, signal);
      }
    }
  }

  /** As {@link run}, for who does not {@link retain} the connection: it is kept open meanwhile. */
  async use<Answer>(command: (client: Redis) => Promise<Answer>, signal: AbortSignal): Promise<Answer> {
    this.retain();
    try {
      return await this.run(command, signal);
    } finally {
      this.release();
    }
  }

  /** Waits a little after a failure, the longer the more there were; rejects with one that will not pass. */
  async recover(error: unknown, failures: number, signal: AbortSignal): Promise<void> {
    const refused = refusal(error);
    if (refused) throw refused;
    // Never at once: a socket may be gone though ioredis has not noticed, and then the next command fails at once, too.
    await delay(Math.min(10 * 2 ** failures, 1000), undefined, { signal }).catch(() => {
      throw closedError();
    });
  }

  /**
   * Whether all who live have had the time to say so since the last outage: the time of a lease, if we or the server have seen one. If it
   * was none of ours, a moment: others may be on their way back.
   */
  isSettled(leaseTimeout: number): boolean {
    if (!this.client) return false;
    const { at, isFirst, serverSince } = this.#welcomed;
    const now = performance.now();
    return now - at >= (isFirst ? Math.min(leaseTimeout, MOMENT) : leaseTimeout) && now - serverSince >= leaseTimeout;
  }

  /** The server's time, as far as it is known: milliseconds since 1970. */
  now(): number {
    return Math.round(this.#epoch + performance.now()) + clock.offset;
  }

  /** The client for commands, while it can take one. */
  get client(): Redis | undefined {
    return this.#fit?.status === 'ready' ? this.#fit : undefined;
  }

  /** Whether the user may use transactions, on the client for commands. */
  get mayTransact(): boolean {
    return this.#mayTransact;
  }

  #listened(profile: RedisOptions): Redis {
    const client = this.#newClient(profile);
    // What goes wrong arrives with the command that it befalls; without a listener ioredis would print it.
    client.on('error', () => {});
    client.on('connect', () => watchLink(client));
    return client;
  }

  #open(): void {
    const client = this.#listened(COMMANDS);
    this.#commands = client;
    client.on('ready', () => void this.#welcome(client));
    client.on('error', (error) => {
      // Here an answer can only be one to the handshake: a wrong password, a database that is not there.
      if (isAnswer(error)) this.#fail(client, error);
    });
    client.on('close', () => {
      if (this.#users === 0 && this.#commands === client) this.#drop();
    });
    client.connect().catch(() => {});
  }

  /** Looks whether a server that has just answered will do, and lets those who wait go on. */
  async #welcome(client: Redis): Promise<void> {
    try {
      const { unfit, uptime, time, mayTransact } = await examine(client);
      if (unfit) throw unfit;
      this.#mayTransact = mayTransact;
      const now = performance.now();
      if (time !== undefined) this.#epoch = time - now;
      this.#welcomed = { at: now, isFirst: this.#fit !== client, serverSince: now - uptime };
    } catch (error) {
      // Loading, busy, or gone meanwhile: after a new connection there is another 'ready'.
      if (refusal(error)) this.#fail(client, error as Error);
      else client.disconnect(true);
      return;
    }
    if (this.#commands !== client) return;
    if (this.#fit !== client) client.on('message', (channel, message) => this.subscriptions.hear(channel, message));
    this.#fit = client;
    void this.subscriptions.resume(client);
    this.#settleWaiters((waiter) => waiter.resolve(client));
  }

  /** Ends a client that cannot serve, and tells those who wait. Who asks next has a new one opened. */
  #fail(client: Redis, error: Error): void {
    const refused = refusal(error);
    if (!refused || this.#commands !== client) return;
    this.#drop();
    this.#failWaiters(refused);
  }

  #failWaiters(reason: Error): void {
    this.#settleWaiters((waiter) => waiter.reject(reason));
  }

  #settleWaiters(settle: (waiter: Waiter) => void): void {
    for (const waiter of this.#waiters) {
      waiter.settled?.();
      settle(waiter);
    }
    this.#waiters.clear();
  }

  #drop(): void {
    this.#commands?.disconnect();
    this.#commands = undefined;
    this.#fit = undefined;
  }
}

/** An AbortController at which any number may listen: a sender's commands wait side by side. */
export function unboundedAbortController(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}

/** The error of what waited when its stream or connection was closed. */
export function closedError(): MillraceError {
  return new MillraceError('CLOSED', 'The stream was closed before Redis had answered');
}
