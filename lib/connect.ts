import type { Cluster, Redis } from 'ioredis';
import { DeadLetterStream } from './dead-letters.ts';
import type { ConnectionStats, Driver, DriverConnection, QueueInfo, Supports } from './driver.ts';
import { invalidType, invalidValue, MillraceError } from './errors.ts';
import { type CloseOptions, checkQueueName, closeTimeout, integer, prefix, withDefaults } from './options.ts';
import { serversIn } from './servers.ts';
import { Deadline } from './timeout.ts';

export const everything = {
  sides: true,
  maxLength: true,
  deliveries: true,
  delay: true,
  producers: true,
  hops: true,
  inspection: true,
  requests: true,
  presence: true,
  names: true,
  attempts: true,
} as const satisfies Supports;

export const gearmanSupports = {
  sides: false,
  maxLength: false,
  deliveries: true,
  delay: false,
  producers: false,
  hops: false,
  inspection: false,
  requests: true,
  presence: true,
  names: false,
  attempts: false,
} as const satisfies Supports;

const redis: Driver = {
  supports: everything,
  connect: async (target, options) => (await import('./drivers/redis/connection.ts')).connectRedis(target, options),
};

const gearman: Driver = {
  supports: gearmanSupports,
  connect: async (target, options) =>
    (await import('./drivers/gearman/connection.ts')).connectGearman(String(target), options),
};

/** By URL scheme. Each loads its code when it is first used: who works with `memory:` never loads ioredis. */
const drivers = new Map<string, Driver>([
  [
    'memory',
    {
      supports: everything,
      connect: async (target, options) =>
        (await import('./drivers/memory/connection.ts')).connectMemory(String(target), options),
    },
  ],
  ['redis', redis],
  ['rediss', redis],
  ['gearman', gearman],
]);

/**
 * Makes `connect()` and the `connection` option understand the URLs of one more scheme; a driver that is there under that name
 * already is replaced. What a driver must do stands in `millrace/driver`.
 *
 * @param scheme letters, digits, `+`, `-` and `.`, as RFC 3986 has it, without the colon
 * @throws ERR_INVALID_ARG_VALUE, ERR_INVALID_ARG_TYPE
 */
export function registerDriver(scheme: string, driver: Driver): void {
  if (typeof scheme !== 'string') throw invalidType('scheme', 'of type string', scheme);
  if (!/^[a-z][a-z0-9+.-]*$/.test(scheme)) throw invalidValue('scheme', "a URL's scheme in lower case", scheme);
  const { connect, supports } = (driver ?? {}) as Partial<Driver>;
  if (typeof connect !== 'function' || typeof supports !== 'object') {
    throw invalidType('driver', 'an object with supports and connect', driver);
  }
  drivers.set(scheme, driver);
}

/** The options of {@link connect}. */
export interface ConnectOptions {
  /** Stands before every queue's name, so that several programs can share a broker. Of the letters of a queue's name. */
  prefix?: string;
  /** The most clients that wait for items at a time. Streams beyond take turns. By default as many as there are streams. */
  maxClients?: number;
}

/** Counts of what a connection has open, and of what has come to it in vain. */
export interface Stats extends ConnectionStats {
  /** Replies that nobody waited for, and so were ignored: late, doubled, forged or malformed ones. */
  readonly strayReplies: number;
}

/** A stream, as its connection sees it. */
export interface ConnectedStream {
  readonly destroyed: boolean;
  close(options: Required<CloseOptions>): Promise<void>;
  destroy(error: Error): unknown;
  emit(event: 'ready'): boolean;
}

/** For the streams alone: these members are no part of the public face. */
export const internal: unique symbol = Symbol('millrace.internal');

/** One broker, shared by any number of streams. Made by {@link connect}. */
export class Connection implements AsyncDisposable {
  readonly #target: string | object;
  readonly #options: ConnectOptions;
  readonly #driver: Driver;
  #opening: Promise<DriverConnection> | undefined;
  #opened: DriverConnection | undefined;
  #closing: Promise<void> | undefined;
  readonly #pulling = new Set<ConnectedStream>();
  readonly #pushing = new Set<ConnectedStream>();
  #strayReplies = 0;

  /** @internal */
  constructor(target: string | object, driver: Driver, options: ConnectOptions) {
    this.#target = target;
    this.#driver = driver;
    this.#options = options;
  }

  /**
   * Resolves once the broker answers, however long that takes. Each look opens the connection if it is not open.
   * Rejects with `ERR_MILLRACE_REFUSED` (wrong password), `ERR_MILLRACE_NOT_SUPPORTED` (a broker too old) or
   * `ERR_MILLRACE_CLOSED`.
   */
  get ready(): Promise<void> {
    if (this.#closing) return Promise.reject(new MillraceError('CLOSED', 'The connection is closed'));
    return this.#open().then((connection) => connection.ready());
  }

  /**
   * How many network clients are open, how many streams wait for their turn at one (see `maxClients`), and how many replies came that
   * nobody waited for.
   */
  stats(): Stats {
    const open = this.#opened?.stats() ?? { clients: 0, waiting: 0 };
    return { ...open, strayReplies: this.#strayReplies };
  }

  /**
   * What is in a queue, and who takes from it. Rejects with `ERR_MILLRACE_NOT_SUPPORTED` where the broker can't tell.
   *
   * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE where the name is wrong: by the promise
   */
  async inspect(queue: string): Promise<QueueInfo> {
    checkQueueName(queue);
    return (await this.#inspected()).inspect(queue);
  }

  /** The names of the queues that hold anything or have consumers, as far as millrace was used to fill or empty them, each once. */
  async *queues(): AsyncIterable<string> {
    yield* (await this.#inspected()).queues();
  }

  /**
   * A Readable of a queue's dead letters, the oldest first, which ends behind the newest.
   *
   * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE where the name is wrong; ERR_MILLRACE_NOT_SUPPORTED where the broker has none
   */
  deadLetters(queue: string): DeadLetterStream {
    checkQueueName(queue);
    requireSupport(this, 'inspection', 'dead letters');
    return new DeadLetterStream(queue, () => this.#inspected());
  }

  /**
   * Closes the streams that are still open and lets go of the broker: first those that pull (they stop, and what they
   * hold flows on or is given back), then those that push (they end, and what they hold is stored). Safe to call twice.
   * Rejects, once all is closed, with what could not be stored or given back in time.
   */
  close(options?: CloseOptions): Promise<void> {
    const timeout = closeTimeout(options);
    this.#closing ??= this.#close(timeout);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal */
  readonly [internal] = {
    supports: (): Supports => this.#driver.supports,
    closing: (): boolean => this.#closing !== undefined,
    add: (stream: ConnectedStream, kind: 'pulling' | 'pushing'): void => {
      (kind === 'pulling' ? this.#pulling : this.#pushing).add(stream);
    },
    delete: (stream: ConnectedStream): void => {
      this.#pulling.delete(stream);
      this.#pushing.delete(stream);
    },
    /** Counts replies that nobody waited for. */
    stray: (replies: number): void => {
      this.#strayReplies += replies;
    },
    /** The driver's connection for a stream under construction, which is told when the broker answers, or never will. */
    open: async (stream: ConnectedStream, signal: AbortSignal): Promise<DriverConnection> => {
      const connection = await this.#open();
      connection.ready(signal).then(
        () => stream.destroyed || stream.emit('ready'),
        (error) => signal.aborted || stream.destroy(error),
      );
      return connection;
    },
  };

  async #inspected(): Promise<DriverConnection> {
    requireSupport(this, 'inspection', 'a look into its queues');
    if (this.#closing) throw new MillraceError('CLOSED', 'The connection is closed');
    return this.#open();
  }

  async #open(): Promise<DriverConnection> {
    const { prefix = '', maxClients = Number.MAX_SAFE_INTEGER } = this.#options;
    this.#opening ??= Promise.resolve(this.#driver.connect(this.#target, { prefix, maxClients }));
    try {
      this.#opened = await this.#opening;
    } catch (error) {
      this.#opening = undefined;
      throw error;
    }
    return this.#opened;
  }

  async #close(timeout: number): Promise<void> {
    const deadline = new Deadline(timeout);
    const failures: unknown[] = [];
    for (const [streams, share] of [
      [this.#pulling, 1 / 2],
      [this.#pushing, 1],
    ] as const) {
      const left = Math.ceil(deadline.left * share);
      const closing = Array.from(streams, (stream) => stream.close({ timeout: left }));
      const results = await Promise.allSettled(closing);
      failures.push(...results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : [])));
    }
    await (await this.#opening?.catch(() => undefined))?.close();
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1) throw new AggregateError(failures, `${failures.length} streams could not close in order`);
  }
}

/**
 * Gives a connection to a broker, and opens it when a stream first needs it.
 *
 * @param target a URL: `redis://user:password@host:port/db`, `rediss://…` (TLS), `gearman://host:port` (of several servers
 *   `gearman://host:port,host:port`), `memory:` (this process alone, new each time), `memory:name` (shared in the process), or any scheme that was registered. Or an ioredis client, which
 *   is not used itself: its options are, in clients of our own. By default the environment's `MILLRACE_URL`, else
 *   `redis://127.0.0.1:6379`.
 * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE where target or options are wrong;
 *   ERR_MILLRACE_NOT_SUPPORTED for a Cluster client, and for `maxClients` with Gearman
 */
export function connect(target: string | Redis | Cluster = defaultUrl(), options?: ConnectOptions): Connection {
  const checked = withDefaults<ConnectOptions, object>(options, { prefix, maxClients: integer(1) }, {});
  const driver = driverFor(target);
  if (driver === gearman && checked.maxClients !== undefined) {
    throw new MillraceError(
      'NOT_SUPPORTED',
      'Gearman does not support maxClients: each worker has connections of its own',
    );
  }
  return new Connection(target, driver, checked);
}

/** Where a stream goes that is told nothing else. */
export function defaultUrl(): string {
  return process.env['MILLRACE_URL'] ?? 'redis://127.0.0.1:6379';
}

function driverFor(target: unknown): Driver {
  if (typeof target === 'object' && target !== null && 'duplicate' in target && 'options' in target) {
    return checkClient(target as Redis | Cluster);
  }
  if (typeof target !== 'string') throw invalidType('url', 'a URL or an ioredis client', target);
  const driver = drivers.get(/^([^:]*):/.exec(target)?.[1] ?? '');
  if (!driver) {
    throw invalidValue(
      'url',
      `a URL that begins with one of ${[...drivers.keys()].join(':, ')}:`,
      withoutPassword(target),
    );
  }
  if (driver === redis) checkRedisUrl(target);
  if (driver === gearman) checkGearmanUrl(target);
  return driver;
}

/** Refuses what ioredis would misunderstand, or fail with too late. */
function checkRedisUrl(target: string): void {
  const allowed = 'of the form redis://[[user]:password@]host[:port][/database], special characters percent-encoded';
  try {
    const { pathname, username, password } = new URL(target);
    decodeURIComponent(username + password);
    if (/^rediss?:\/\//.test(target) && /^(\/\d*)?$/.test(pathname)) return;
  } catch {
    // What can't be read is refused as what says something else.
  }
  throw invalidValue('url', allowed, withoutPassword(target));
}

function checkGearmanUrl(target: string): void {
  if (serversIn(target, 1)) return;
  throw invalidValue('url', 'of the form gearman://host[:port][,host[:port]…]', withoutPassword(target));
}

function withoutPassword(url: string): string {
  return url.replace(/\/\/.*@/, '//…@');
}

function checkClient(client: Redis | Cluster): Driver {
  if (client.isCluster)
    throw new MillraceError('NOT_SUPPORTED', 'An ioredis Cluster is not supported; give a Redis client');
  const { keyPrefix } = client.options;
  if (keyPrefix)
    throw invalidValue('url.options.keyPrefix', "empty: connect()'s own prefix takes its place", keyPrefix);
  return redis;
}

/** The connections of streams that were given a URL or nothing: one for each URL. They sleep while no stream is open. */
const shared = new Map<string, Connection>();

/** The connection that a stream's `connection` option means. */
export function connectionFor(option: string | Connection = defaultUrl()): Connection {
  if (option instanceof Connection) {
    if (option[internal].closing()) throw new MillraceError('CLOSED', 'The connection is closed');
    return option;
  }
  if (typeof option !== 'string') throw invalidType('options.connection', 'a URL or what connect() gave', option);
  const connection = shared.get(option) ?? connect(option);
  shared.set(option, connection);
  return connection;
}

/** Throws `ERR_MILLRACE_NOT_SUPPORTED` where a connection's broker can't do what an option asks for. */
export function requireSupport(connection: Connection, ability: keyof Supports, asked: string): void {
  if (connection[internal].supports()[ability]) return;
  throw new MillraceError('NOT_SUPPORTED', `The broker of this connection does not support ${asked}`);
}
