import type { Redis } from 'ioredis';
import type { MillraceError } from '../../errors.ts';
import { isAnswer, tooOld } from './refusals.ts';

/** What a server says of itself. */
export interface Examination {
  /** Why it won't do, if it won't. */
  readonly unfit?: MillraceError;
  /** For how many milliseconds it has been running. */
  readonly uptime: number;
  /** Its time, in milliseconds since 1970, if it tells. */
  readonly time?: number;
  /** Whether it has transactions for this user. */
  readonly mayTransact: boolean;
}

/** Looks whether a server will do; warns of one that throws away what it has stored. */
export async function examine(client: Redis): Promise<Examination> {
  const telling = client.info();
  const transacting = whetherMayTransact(client);
  let info: string;
  try {
    info = await telling;
  } catch (error) {
    if (!isAnswer(error) || !error.message.startsWith('NOPERM')) throw error;
    return { uptime: Number.POSITIVE_INFINITY, mayTransact: await transacting };
  }
  const mayTransact = await transacting;
  if (/^loading:1/m.test(info)) throw new Error('Redis is loading its data');
  const version = /^redis_version:(\d+)\..*$/m.exec(info);
  if (version && Number(version[1]) < 7 && !info.includes('valkey_version:')) {
    return { unfit: tooOld(version[0]), uptime: 0, mayTransact };
  }
  const policy = /^maxmemory_policy:(.*?)\r?$/m.exec(info)?.[1];
  if (policy && policy !== 'noeviction' && !/^maxmemory:0\r?$/m.test(info)) warnOfEviction(policy);
  const time = Number(/^server_time_usec:(\d+)/m.exec(info)?.[1] ?? Number.NaN) / 1000;
  const uptime = Number(/^uptime_in_seconds:(\d+)/m.exec(info)?.[1] ?? 0) * 1000;
  return { uptime, mayTransact, ...(Number.isFinite(time) ? { time } : {}) };
}

/** Tries an empty transaction, in one write: a user may be without the right to the one or the other of its commands. */
async function whetherMayTransact(client: Redis): Promise<boolean> {
  const [begun, carriedOut] = await Promise.allSettled([client.call('MULTI'), client.call('EXEC')]);
  if (begun.status === 'rejected') return false;
  if (carriedOut.status === 'fulfilled') return true;
  await client.call('DISCARD').catch(() => {});
  return false;
}

let warnedOfEviction = false;

function warnOfEviction(policy: string): void {
  if (warnedOfEviction) return;
  warnedOfEviction = true;
  process.emitWarning(
    `Redis may throw queues away when it is full: its maxmemory-policy is ${policy}, not noeviction`,
    {
      code: 'MILLRACE_EVICTION',
    },
  );
}
