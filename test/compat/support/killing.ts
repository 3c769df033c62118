import type { Redis } from 'ioredis';
import { TEST_CLIENT } from '../../support/redis.ts';

/** Kills the connections of all that are not the test's own, as a bad network does; gives how many. */
export async function killOthers(redis: Redis): Promise<number> {
  const lines = String(await redis.client('LIST'))
    .trim()
    .split('\n');
  const ids = lines
    .filter((line) => !line.includes(` name=${TEST_CLIENT} `))
    .map((line) => /^id=(\d+) /.exec(line)?.[1]);
  for (const id of ids) await redis.call('CLIENT', 'KILL', 'ID', id as string);
  return ids.length;
}
