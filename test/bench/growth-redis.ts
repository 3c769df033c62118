import { Redis } from 'ioredis';
import { TEST_CLIENT } from '../support/redis.ts';

/** Puts the same item into a list many times. */
const FILL = `
for _ = 1, tonumber(ARGV[1]) do redis.call('LPUSH', KEYS[1], ARGV[2]) end
`;

/** How many items one script stores. */
const STEP = 100_000;

/** Fills a list with `count` items faster than any client could. */
export async function fill(redis: Redis, queue: string, count: number, item: object): Promise<void> {
  for (let left = count; left > 0; left -= STEP) {
    await redis.eval(FILL, 1, queue, Math.min(left, STEP), JSON.stringify(item));
  }
}

/** How many clients a server has, those of the bench itself left out. */
export async function openClients(url: string): Promise<number> {
  const redis = new Redis(url, { connectionName: TEST_CLIENT });
  const list = (await redis.client('LIST')) as string;
  redis.disconnect();
  return list.split('\n').filter((line) => line !== '' && !line.includes(` name=${TEST_CLIENT} `)).length;
}
