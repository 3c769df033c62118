import assert from 'node:assert/strict';
import { RedisServer } from '../support/redis.ts';
import { until } from '../support/streams.ts';
import { Program } from './program.ts';

describe('the samples of requests and replies', () => {
  let server: RedisServer;
  let env: NodeJS.ProcessEnv;
  beforeEach(async () => {
    server = await RedisServer.start();
    env = { MILLRACE_URL: server.url };
  });
  afterEach(() => server[Symbol.asyncDispose]());

  /** Ends a program as its user does. */
  async function stop(program: Program): Promise<void> {
    program.interrupt();
    const { code, stderr } = await program.ended;
    assert.equal(stderr, '');
    assert.equal(code, 0);
  }

  /** All that may stay in Redis are totals. */
  async function assertEmpty(): Promise<void> {
    const keys = await server.client().keys('*');
    assert.deepEqual(
      keys.filter((key) => !key.endsWith(':marks')),
      [],
    );
  }

  it('request.ts and reply.ts: ask as a promise and as a pipe, and answer as a service and as a pipe', async () => {
    await using request = new Program('samples/request.ts', [], env);
    request.input('one', '', 'two');
    await using reply = new Program('samples/reply.ts', [], env);
    const { code, stdout, stderr } = await request.ended;
    assert.match(stdout, /^Hello, request\.ts! This is process \d+\.\nONE!\n.*There is nothing to shout\nTWO!\n$/);
    assert.equal(stderr, '');
    assert.equal(code, 0);
    await stop(reply);
    await assertEmpty();
  });

  it('numbers.ts: has every number answered, once, in memory that does not grow with them', async () => {
    // Who has more in memory than is on its way dies of that.
    const NODE_OPTIONS = '--max-old-space-size=48';
    await using program = new Program('samples/numbers.ts', ['300000'], { ...env, NODE_OPTIONS });
    const { code, stdout, stderr } = await program.ended;
    assert.match(stdout, /^300000 replies, their sum is 89999700000, \d+ MB of memory at most\n$/);
    assert.equal(stderr, '');
    assert.equal(code, 0);
    await assertEmpty();
  });

  describe('http.ts and http-worker.ts', () => {
    let web: Program;
    let url: string;
    beforeEach(async () => {
      web = new Program('samples/http.ts', ['0'], env);
      url = (await web.line('stdout', /^listening at /)).replace('listening at ', '');
    });
    afterEach(() => web[Symbol.asyncDispose]());

    async function ask(text: string): Promise<[status: number, body: string]> {
      const response = await fetch(`${url}/?text=${text}`);
      return [response.status, await response.text()];
    }

    it('answer', async () => {
      await using worker = new Program('samples/http-worker.ts', [], env);
      await worker.line('stdout', /^ready$/);
      assert.deepEqual(await Promise.all(['hi', 'ho'].map(ask)), [
        [200, 'HI!\n'],
        [200, 'HO!\n'],
      ]);
      await stop(web);
      await stop(worker);
      await assertEmpty();
    });

    it('say with a status of its own what has failed: the worker, its time, or that there is none', async () => {
      const [status, body] = await ask('hello');
      assert.equal(status, 503);
      assert.match(body, /^Nobody is there to work on the request "shout"/);

      await using worker = new Program('samples/http-worker.ts', [], env);
      await worker.line('stdout', /^ready$/);
      const [[failed, why], [late, when]] = await Promise.all([ask(''), ask('x'.repeat(1000))]);
      assert.equal(failed, 502);
      assert.match(why, /failed: There is nothing to shout\n$/);
      assert.equal(late, 504);
      assert.match(when, /not answered within 3000 ms\n$/);
      await stop(web);
    });

    it('stop working for a browser that goes away', async () => {
      await using worker = new Program('samples/http-worker.ts', [], env);
      await worker.line('stdout', /^ready$/);
      const browser = new AbortController();
      const text = 'x'.repeat(1000);
      const response = fetch(`${url}/?text=${text}`, { signal: browser.signal });
      const failed = assert.rejects(response, { name: 'AbortError' });
      await worker.line('stdout', /^begun/);
      browser.abort();
      await worker.line('stdout', /^given up/);
      await failed;
      await stop(web);
      await stop(worker);
      const { stdout } = await worker.ended;
      assert.equal(stdout, `ready\nbegun: ${text}\ngiven up: ${text}\n`);
      // That it was given up is remembered to the end of its time.
      const client = server.client();
      await until(async () => (await client.exists('{http-shouts}:cancelled')) === 0);
      await assertEmpty();
    });
  });

  describe('events.ts and http-worker.ts', () => {
    let web: Program;
    let url: string;
    let worker: Program;
    beforeEach(async () => {
      web = new Program('samples/events.ts', ['0'], env);
      url = (await web.line('stdout', /^listening at /)).replace('listening at ', '');
      worker = new Program('samples/http-worker.ts', [], env);
      await worker.line('stdout', /^ready$/);
    });
    afterEach(async () => {
      await web[Symbol.asyncDispose]();
      await worker[Symbol.asyncDispose]();
    });

    it('stream what comes', async () => {
      const response = await fetch(`${url}/?text=ab`);
      assert.equal(response.headers.get('content-type'), 'text/event-stream');
      assert.equal(await response.text(), 'data: "A"\n\ndata: "B"\n\nevent: end\ndata: \n\n');
      await stop(web);
      await stop(worker);
      await assertEmpty();
    });

    it('stop working for a browser that goes away', async () => {
      const browser = new AbortController();
      const text = 'x'.repeat(1000);
      const response = await fetch(`${url}/?text=${text}`, { signal: browser.signal });
      const reader = response.body?.getReader();
      assert.equal(Buffer.from((await reader?.read())?.value ?? []).toString(), 'data: "X"\n\n');
      browser.abort();
      await worker.line('stdout', /^ended/);
      await stop(web);
      await stop(worker);
      assert.equal((await worker.ended).stdout, `ready\nbegun: ${text}\nended: ${text}\n`);
    });
  });
});
