import assert from 'node:assert/strict';
import { connect } from '../../lib/index.ts';
import { RedisServer } from '../support/redis.ts';
import { drain, until } from '../support/streams.ts';
import { Program } from './program.ts';

describe('the samples work.ts and hop.ts', () => {
  let server: RedisServer;
  let env: NodeJS.ProcessEnv;
  beforeEach(async () => {
    server = await RedisServer.start();
    env = { MILLRACE_URL: server.url };
  });
  afterEach(() => server[Symbol.asyncDispose]());

  async function push(...lines: string[]): Promise<void> {
    await using program = new Program('samples/push.ts', [], env);
    program.input(...lines);
    await program.ended;
  }

  it('do jobs, try again what fails, and keep it in the end', async () => {
    await push('one', '', 'two');
    await using work = new Program('samples/work.ts', [], env);
    await work.line('stderr', /given up/);
    work.interrupt();
    const { code, stdout, stderr } = await work.ended;
    assert.match(stdout, /^ONE! .*\nTWO! .*\n$/);
    const failure = 'There is nothing to shout';
    const again = `${failure}: again in 1000 ms\n`;
    assert.equal(stderr, `${again}${again}${failure}: given up after 3 attempts\n`);
    assert.equal(code, 0);
    assert.equal(await server.client().xlen('{shouts}:dead'), 1);
  });

  it('pass on what becomes of jobs, each once, though the first is killed that holds them', async () => {
    await push('one', 'two', 'three');
    await using connection = connect(server.url);
    {
      await using killed = new Program('samples/hop.ts', [], env);
      const holding = until(async () => (await connection.inspect('shouts')).inProcess > 0);
      await Promise.race([holding, killed.ended]);
    }
    await using other = new Program('samples/hop.ts', [], env);
    await until(async () => (await connection.inspect('shouts')).settled === 3);
    other.interrupt();
    const { code, stderr } = await other.ended;
    assert.equal(stderr, '');
    assert.equal(code, 0);
    const echoes = (await drain(connection, 'echoes')) as { text: string }[];
    assert.deepEqual(new Set(echoes.map(({ text }) => text)), new Set(['one … one', 'two … two', 'three … three']));
    assert.equal(echoes.length, 3);
  });
});
