import type { Redis } from 'ioredis';

/** The keys that a server has, but for those that will go by themselves: totals, and the numbers of producers. */
export async function leftovers(client: Redis): Promise<string[]> {
  const keys = await client.keys('*');
  const times = await Promise.all(keys.map((key) => client.ttl(key)));
  return keys.filter((_, index) => times[index] === -1);
}
