import type { Redis } from 'ioredis';
import type { MillraceError } from '../../errors.ts';
import { isAnswer, tooOld } from './refusals.ts';

/** Why a server won't do, if it won't; warns of one that throws away what it has stored. */
export async function examine(client: Redis): Promise<MillraceError | undefined> {
  let info: string;
  try {
    info = await client.info();
  } catch (error) {
    if (isAnswer(error) && error.message.startsWith('NOPERM')) return undefined;
    throw error;
  }
  if (/^loading:1/m.test(info)) throw new Error('Redis is loading its data');
  const version = /^redis_version:(\d+)\..*$/m.exec(info);
  if (version && Number(version[1]) < 7 && !info.includes('valkey_version:')) return tooOld(version[0]);
  const policy = /^maxmemory_policy:(.*?)\r?$/m.exec(info)?.[1];
  if (policy && policy !== 'noeviction' && !/^maxmemory:0\r?$/m.test(info)) warnOfEviction(policy);
  return undefined;
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
