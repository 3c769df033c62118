import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import type { RedisServer } from '../support/redis.ts';

const { resolve } = createRequire(import.meta.url);

/** What was measured with, and on what. */
export async function describeMachine(server: RedisServer): Promise<string> {
  const info = await server.client().info('server');
  const redis = /^redis_version:(\S+)/m.exec(info)?.[1];
  const ioredis = JSON.parse(readFileSync(resolve('ioredis/package.json'), 'utf8')).version;
  const date = new Date().toISOString().slice(0, 10);
  const [cpu] = cpus();
  return `${cpu?.model.trim()}, ${cpus().length} cores; Node ${process.version}, Redis ${redis}, ioredis ${ioredis}; ${date}`;
}
