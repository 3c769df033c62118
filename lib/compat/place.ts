import type { Redis } from 'ioredis';
import { type Connection, connect, defaultUrl } from '../connect.ts';
import { invalidType, invalidValue } from '../errors.ts';
import { type Check, integer } from '../options.ts';

/** Where Redis is, as the older projects say it. Without any of these it is where millrace looks by default. */
export interface PlaceOptions {
  /** Default `'localhost'`. */
  host?: string;
  /** Default 6379. */
  port?: number;
  /** The number of the database, default 0. */
  database?: number;
  /**
   * A client of ioredis, or of node_redis before its version 4. It is not used itself: clients of our own go where it goes. It is
   * closed when its user is ended, as ever.
   */
  client?: object;
  /**
   * A URL in the place of all these, for what they can't say: `rediss://user:password@host`. Default: the environment's
   * `MILLRACE_URL`, else `redis://127.0.0.1:6379`.
   */
  connection?: string;
}

/** Text that is not empty. */
export const text: Check = (value, name) => {
  if (typeof value !== 'string') throw invalidType(name, 'of type string', value);
  if (value === '') throw invalidValue(name, 'a text that is not empty', value);
};

const client: Check = (value, name) => {
  if (isIoredis(value) || addressOf(value)) return;
  throw invalidType(name, 'a client of ioredis, or of node_redis 0 to 3, at a host and port and without TLS', value);
};

/** The checks of {@link PlaceOptions}. */
export const placeChecks = { host: text, port: integer(1, 65_535), database: integer(0), client, connection: text };

/** What is used of a client of node_redis: the last two names are those of its first versions. */
interface NodeRedis {
  readonly connection_options?: { host?: string; port?: number };
  readonly connectionOption?: { host?: string; port?: number };
  readonly options?: { password?: string; tls?: object };
  readonly auth_pass?: string;
  readonly selected_db?: number;
  end(flush: boolean): void;
}

/** A URL, or an ioredis client. */
export function targetOf({ host, port, database, client, connection }: PlaceOptions): string | Redis {
  if (isIoredis(client)) return database === undefined ? client : client.duplicate({ db: database, lazyConnect: true });
  if (client) return urlOfClient(client as NodeRedis, database);
  if (connection !== undefined) return connection;
  if (host === undefined && port === undefined && database === undefined) return defaultUrl();
  return urlOf(host, port, database);
}

/** What the streams take as their connection. Those of one URL share one. */
export function connectionOf(options: PlaceOptions): string | Connection {
  const target = targetOf(options);
  return typeof target === 'string' ? target : connect(target);
}

/** Closes the client that was given, which nobody here has used. */
export function closeClient({ client }: PlaceOptions): void {
  if (isIoredis(client)) client.disconnect();
  else if (client) (client as NodeRedis).end(false);
}

function isIoredis(value: unknown): value is Redis {
  return typeof value === 'object' && value !== null && 'duplicate' in value && 'status' in value;
}

function addressOf(value: unknown): { host?: string; port?: number } | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { connection_options, connectionOption, options } = value as NodeRedis;
  const address = connection_options ?? connectionOption;
  return address?.port === undefined || options?.tls ? undefined : address;
}

function urlOfClient(given: NodeRedis, database = given.selected_db): string {
  const { host, port } = addressOf(given) ?? {};
  return urlOf(host, port, database, given.options?.password ?? given.auth_pass);
}

function urlOf(host = 'localhost', port = 6379, database = 0, password?: string): string {
  const name = host.includes(':') ? `[${host}]` : host;
  const user = password === undefined ? '' : `:${encodeURIComponent(password)}@`;
  return `redis://${user}${name}:${port}/${database}`;
}
