import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Client, type Connection, connect, PushStream, serve, work } from '../../../lib/index.ts';
import { uniqueQueue } from '../../support/brokers.ts';
import { GearmanServer } from '../../support/gearman.ts';
import { until } from '../../support/streams.ts';

describe("Debian's gearman tool", () => {
  let server: GearmanServer;
  let connection: Connection;
  let queue: string;
  const tools: ChildProcess[] = [];

  before(async () => {
    server = await GearmanServer.start();
  });
  after(() => server[Symbol.asyncDispose]());
  beforeEach(() => {
    connection = connect(server.url);
    queue = uniqueQueue();
  });
  afterEach(async () => {
    for (const tool of tools.splice(0)) {
      if (tool.exitCode !== null || tool.signalCode !== null) continue;
      const ended = once(tool, 'exit');
      tool.kill('SIGKILL');
      await ended;
    }
    await connection.close();
  });

  function start(...args: string[]): ChildProcess {
    const where = ['-h', '127.0.0.1', '-p', String(server.port)];
    const tool = spawn('gearman', [...where, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    tools.push(tool);
    return tool;
  }

  /** What it says as a client, and its exit code. */
  async function ask(...args: string[]): Promise<{ said: string; code: number | null }> {
    const tool = start(...args);
    let said = '';
    for (const stream of [tool.stdout, tool.stderr]) stream?.on('data', (text) => (said += text));
    const [code] = await once(tool, 'close');
    return { said, code };
  }

  /** Starts it as a worker; resolves when it is known to the server. */
  async function startWorker(name: string, ...command: string[]): Promise<void> {
    start('-w', '-f', name, '--', ...command);
    await until(async () => (await server.status(name)).workers === 1);
  }

  it('is answered by our workers', async () => {
    const handlers = { square: (n: number) => n * n, default: (value: unknown) => ({ value }) };
    const service = serve(queue, handlers, { connection });
    assert.deepEqual(await ask('-f', `${queue}/square`, '7'), { said: '49', code: 0 });
    assert.deepEqual(await ask('-f', queue, '[1, null]'), { said: '{"value":[1,null]}', code: 0 });
    assert.deepEqual(await ask('-f', queue, '-s'), { said: '{}', code: 0 });
    await service.close();
  });

  it('is told by our workers why they have failed', async () => {
    const fail = (): never => {
      throw new RangeError('too large');
    };
    const service = serve(queue, { fail }, { connection });
    const { said, code } = await ask('-f', `${queue}/fail`, '7');
    assert.match(said, /"message":"too large"/);
    assert.match(said, /Job failed/);
    assert.equal(code, 1);
    const { said: invalid } = await ask('-f', `${queue}/fail`, 'no JSON');
    assert.match(invalid, /Invalid item/);
    await service.close();
  });

  it('gets the parts of an answer of our workers', async () => {
    const count = async function* (): AsyncGenerator<number> {
      yield* [1, 2, 3];
    };
    const service = serve(queue, { count }, { connection });
    assert.deepEqual(await ask('-f', `${queue}/count`, '0'), { said: '123', code: 0 });
    await service.close();
  });

  it('submits what our workers take', async () => {
    const seen: unknown[] = [];
    const service = work(queue, (value) => seen.push(value), { connection });
    await ask('-b', '-f', queue, '{"a":1}');
    await ask('-b', '-n', '-f', queue, '2');
    await until(() => seen.length === 2);
    assert.deepEqual(seen, [{ a: 1 }, 2]);
    await service.close();
  });

  it('answers our clients', async () => {
    await startWorker(`${queue}/echo`, 'cat');
    await startWorker(`${queue}/upper`, 'tr', 'a-z', 'A-Z');
    const client = new Client(queue, { connection });
    assert.deepEqual(await client.request('echo', { a: ['ż', null] }), { a: ['ż', null] });
    assert.equal(await client.request('upper', 'hello'), 'HELLO');
    await client.close();
  });

  it('makes our clients fail where it answers no JSON, or fails', async () => {
    await startWorker(`${queue}/text`, 'echo', 'some text');
    await startWorker(`${queue}/false`, 'false');
    const client = new Client(queue, { connection });
    await assert.rejects(client.request('text', 1), { code: 'ERR_MILLRACE_REMOTE', message: /no JSON: some text/ });
    await assert.rejects(client.request('false', 1), { code: 'ERR_MILLRACE_REMOTE', message: /gave no reason/ });
    await client.close();
  });

  it('works off what we push', async () => {
    const stream = new PushStream(queue, { connection });
    for (const n of [1, 2, 3]) stream.write({ n });
    await stream.close();
    const tool = start('-w', '-c', '3', '-f', queue, '--', 'true');
    await once(tool, 'exit');
    assert.equal((await server.status(queue)).total, 0);
  });
});
