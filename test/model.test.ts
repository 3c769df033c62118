import assert from 'node:assert/strict';
import { check } from './model/history.ts';
import { MemoryGround } from './model/memory-ground.ts';
import { mutants, mutate } from './model/mutants.ts';
import { RedisGround } from './model/redis-ground.ts';
import { seed } from './support/random.ts';
import { RedisServer } from './support/redis.ts';

/** How many histories there are. */
const RUNS = 1000;

/** How long they may take, on a slow machine and with one that has to be shrunk, in milliseconds. */
const TIMEOUT = 300_000;

/** Has so many histories end in Redis as in memory, and as the model has it. */
async function checkRedis(server: RedisServer, options: { endOnFailure?: boolean } = {}): Promise<void> {
  const redis = await RedisGround.open(server);
  try {
    await check([new MemoryGround(), redis], RUNS, options);
  } finally {
    await redis.close();
  }
}

describe(`any history (seed ${seed})`, function () {
  this.timeout(TIMEOUT);

  it('ends in memory as in the model', () => check([new MemoryGround()], RUNS));

  describe('with a server', () => {
    let server: RedisServer;
    before(async () => {
      server = await RedisServer.start();
    });
    after(() => server[Symbol.asyncDispose]());

    it('ends in Redis as in memory and in the model', () => checkRedis(server));

    for (const mutant of mutants) {
      it(`tells a driver that ${mutant.name}`, async () => {
        using _ = mutate(mutant);
        await assert.rejects(checkRedis(server, { endOnFailure: true }), ({ cause, message }: Error) => {
          // Not because of a script that does not run.
          assert.ok(cause instanceof assert.AssertionError, `${message}\n${cause}`);
          return true;
        });
      });
    }
  });
});
