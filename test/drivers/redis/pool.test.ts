import assert from 'node:assert/strict';
import type { Redis } from 'ioredis';
import { BlockingClient } from '../../../lib/drivers/redis/pool.ts';
import { uniqueQueue } from '../../support/brokers.ts';
import { RedisServer } from '../../support/redis.ts';

describe('a blocking client', () => {
  let server: RedisServer;
  let redis: Redis;
  before(async () => {
    server = await RedisServer.start('--maxmemory-policy', 'noeviction');
    redis = server.client();
  });
  after(() => server[Symbol.asyncDispose]());

  it('gives what comes behind a move, though the move is refused', async () => {
    const [from, to] = [uniqueQueue(), uniqueQueue()];
    await redis.lpush(from, 'item');
    const client = new BlockingClient(server.client({ lazyConnect: true }));
    await client.open();
    await redis.config('SET', 'maxmemory', '1');
    assert.equal(await client.moveThen(from, to, 100, (behind) => behind.rpop(from)), 'item');
    await assert.rejects(
      client.moveThen(from, to, 100, (behind) => behind.rpop(from)),
      /^ReplyError: OOM/,
    );
    await redis.config('SET', 'maxmemory', '0');
    assert.equal(await client.moveThen(from, to, 1, (behind) => behind.rpop(from)), null);
    client.close();
  });
});
