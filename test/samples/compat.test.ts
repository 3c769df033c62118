import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { GearmanServer } from '../support/gearman.ts';
import { freePort, RedisServer } from '../support/redis.ts';
import { until } from '../support/streams.ts';
import { Program } from './program.ts';

describe('the examples of the older projects', () => {
  let server: RedisServer;
  let env: NodeJS.ProcessEnv;
  beforeEach(async () => {
    server = await RedisServer.start();
    env = { MILLRACE_URL: server.url };
  });
  afterEach(() => server[Symbol.asyncDispose]());

  /** What an example prints that ends by itself, and leaves nothing but totals in Redis. */
  async function outputOf(name: string): Promise<string> {
    await using program = new Program(`samples/compat/${name}.js`, [], env);
    const { code, stdout, stderr } = await program.ended;
    assert.equal(stderr, '');
    assert.equal(code, 0);
    const keys = await server.client().keys('*');
    assert.deepEqual(
      keys.filter((key) => !key.endsWith(':marks')),
      [],
    );
    return stdout;
  }

  it('pushpull', async () => {
    const lines = (await outputOf('pushpull')).split('\n').toSorted();
    assert.deepEqual(lines, ['', "pulled { some: 'data' }", "pushed { some: 'data' }"]);
  });

  it('reqrep', async () => {
    const lines = (await outputOf('reqrep')).split('\n');
    assert.equal(lines.filter((line) => line === 'Received reply null 42').length, 20);
    assert.equal(lines.filter((line) => /^Received job worker[12]$/.test(line)).length, 20);
  });

  it('swarm', async () => {
    assert.equal(await outputOf('swarm'), 'The result was 9\n');
  });

  it('JobQueue', async () => {
    const port = await freePort();
    await using web = new Program('samples/compat/job-queue-client.js', [], { ...env, PORT: String(port) });
    await web.line('stdout', new RegExp(`^Listening on port ${port}$`));
    await using jobs = new Program('samples/compat/job-queue-server.js', [], env);
    const response = await fetch(`http://localhost:${port}/echo?q=hello`);
    assert.equal(await response.text(), 'hello');
    jobs.interrupt();
    const { code, stderr } = await jobs.ended;
    assert.equal(stderr, '');
    assert.equal(code, 0);
  });

  it('que', async () => {
    await using gearman = await GearmanServer.start();
    // Its example names a port, which may be anybody's here.
    const text = await readFile('samples/compat/que.js', 'utf8');
    const ours = text.replace('gearman://127.0.0.1:4730', gearman.url).replace('../../lib', './lib');
    await using program = new Program('--input-type=module', ['--eval', ours]);
    const { code, stdout, stderr } = await program.ended;
    assert.equal(stderr, '');
    assert.equal(code, 0);
    assert.deepEqual(stdout.split('\n'), [
      'defined: cap2',
      'of a class: cap2',
      'connected: someDriver://localhost:1234/',
      'of a driver: 2pac',
      'disconnected',
      '',
    ]);
    await until(async () => (await gearman.status('echoReverse')).workers === 0);
  });
});
