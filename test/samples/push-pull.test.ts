import assert from 'node:assert/strict';
import { RedisServer } from '../support/redis.ts';
import { Program } from './program.ts';

describe('the twins push.ts and pull.ts', () => {
  it('pass lines through Redis, in order', async () => {
    await using server = await RedisServer.start();
    const env = { MILLRACE_URL: server.url };
    await using push = new Program('samples/push.ts', [], env);
    push.input('one', 'two');
    assert.deepEqual(await push.ended, { code: 0, stdout: 'stored: one\nstored: two\n', stderr: '' });

    await using pull = new Program('samples/pull.ts', [], env);
    await pull.line('stdout', /^TWO!/);
    pull.interrupt();
    const { code, stdout } = await pull.ended;
    assert.match(stdout, /^ONE! .*\nTWO! .*\n$/);
    assert.equal(code, 0);
    // All that stays, for a day, are the totals.
    assert.deepEqual(await server.client().keys('*'), ['{shouts}:marks']);
  });
});
