import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { RedisServer } from '../support/redis.ts';

const { resolve } = createRequire(import.meta.url);

/** What is measured with, on what, and how much others ask of it: where that is more than a little the figures say nothing. */
export async function describeMachine(server: RedisServer): Promise<string> {
  const info = await server.client().info('server');
  const redis = /^redis_version:(\S+)/m.exec(info)?.[1];
  const ioredis = JSON.parse(readFileSync(resolve('ioredis/package.json'), 'utf8')).version;
  const date = new Date().toISOString().slice(0, 10);
  const [cpu, ...others] = cpus();
  const hardware = `${cpu?.model.trim()}, ${others.length + 1} cores (${await busyCores()} busy before)`;
  return `${hardware}; Node ${process.version}, Redis ${redis}, ioredis ${ioredis}; ${date}`;
}

/** How many cores are busy, as a mean over a second. */
async function busyCores(): Promise<string> {
  const before = busySeconds();
  const start = performance.now();
  await delay(1000);
  return ((busySeconds() - before) / ((performance.now() - start) / 1000)).toFixed(1);
}

function busySeconds(): number {
  return cpus().reduce((sum, { times }) => sum + (times.user + times.nice + times.sys + times.irq) / 1000, 0);
}
