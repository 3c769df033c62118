/** The older projects themselves, as far as they still run: packages that only these tests need. They have no types; these are what is used. */
import { createRequire } from 'node:module';
import type { Readable, Writable } from 'node:stream';

const require = createRequire(import.meta.url);

/** A client of node_redis 2. */
export interface NodeRedis {
  readonly connected: boolean;
  on(event: string, listener: (error: Error) => void): this;
  end(flush: boolean): void;
  quit(): void;
}

interface Options {
  readonly queue: string;
  readonly host?: string;
  readonly port?: number;
  readonly client?: NodeRedis;
}

export const redis: { createClient(port: number, host: string, options?: object): NodeRedis } = require('redis');

export const pushpull: {
  Push: new (options: Options) => Writable & { _redisClient: NodeRedis };
  Pull: new (options: Options) => Readable & { _redisClient: NodeRedis };
} = require('pushpull');
