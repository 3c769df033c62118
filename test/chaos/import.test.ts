import assert from 'node:assert/strict';
import { random, seed } from '../support/random.ts';
import { RedisServer } from '../support/redis.ts';
import { numbers, until } from '../support/streams.ts';
import { Child } from './child.ts';
import { eachOnceInOrder } from './each-once.ts';
import { leftovers } from './leftovers.ts';
import { scale } from './scale.ts';

const DEATHS = 5;

describe(`an import with a producer name (redis, seed ${seed})`, function () {
  this.timeout(0);
  const count = scale.imported;

  it(`stores each of ${count} items once, in order, though it is killed ${DEATHS} times and run again`, async () => {
    await using server = await RedisServer.start();
    const dice = random();
    const settings = { queue: 'jobs', producer: 'import', count };
    const seen: number[] = [];
    for (let death = 0; death < DEATHS; death += 1) {
      // Some runs get beyond what the last one has stored, some do not.
      const from = Math.floor(dice() * 0.95 * count);
      await using child = new Child('import-worker.ts', server.url, settings);
      await until(() => child.done > from);
      await child.kill();
      seen.push(await server.client().llen('jobs'));
    }
    await using last = new Child('import-worker.ts', server.url, settings);
    await last.ended();
    const stored = (await server.client().lrange('jobs', 0, -1)).reverse().map(Number);
    eachOnceInOrder(stored, numbers(count), `(those stored at the kills: ${seen})`);
    assert.deepEqual(await leftovers(server.client()), ['jobs']);
  });
});
