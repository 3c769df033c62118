import { connectRedis } from '../../../lib/drivers/redis/connection.ts';
import { RedisServer } from '../../support/redis.ts';
import { contract } from '../contract/contract.ts';

describe('redis driver', () => {
  let server: RedisServer;
  before(async () => {
    server = await RedisServer.start();
  });
  after(() => server[Symbol.asyncDispose]());

  contract('redis', {
    supports: {
      sides: true,
      maxLength: true,
      deliveries: true,
      delay: true,
      producers: true,
      hops: true,
      inspection: true,
      requests: true,
      presence: true,
      names: true,
      attempts: true,
    },
    open: async (prefix = '') => connectRedis(server.url, { prefix, maxClients: Number.MAX_SAFE_INTEGER }),
    // It never leaves: all that the server knows is that it is silent.
    crash: (connection) => connection.close(),
  });
});
