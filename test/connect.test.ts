import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { everything } from '../lib/connect.ts';
import { connectMemory } from '../lib/drivers/memory/connection.ts';
import { connect, DeliveryStream, PullStream, PushStream, registerDriver } from '../lib/index.ts';
import { RedisServer } from './support/redis.ts';
import { drain, numbers, push } from './support/streams.ts';

/** What a program, given as a module's text, prints, and how long it lives on behind that, in milliseconds. */
async function run(program: string, env: NodeJS.ProcessEnv = {}): Promise<{ printed: string; lived: number }> {
  const head = `import { connect, PullStream, PushStream } from './lib/index.ts';\n`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', head + program], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let printed = '';
  let last = 0;
  child.stdout.on('data', (bytes) => {
    printed += bytes;
    last = performance.now();
  });
  const [code] = await once(child, 'close');
  assert.equal(code, 0, printed);
  return { printed: printed.trim(), lived: performance.now() - last };
}

describe('connect', () => {
  it('makes a store of its own for each memory:, and one for a name', async () => {
    const [one, other] = [connect('memory:'), connect('memory:')];
    await push(one, 'q', [1]);
    assert.deepEqual(await drain(other, 'q'), []);
    assert.deepEqual(await drain(one, 'q'), [1]);
    const [named, same] = [connect('memory:named'), connect('memory:named', { prefix: 'p:' })];
    await push(named, 'p:q', [2]);
    assert.deepEqual(await drain(same, 'q'), [2]);
    for (const connection of [one, other, named, same]) await connection.close();
  });

  it('shares what streams name by the same URL, memory: too', async () => {
    const source = new PushStream('q', { connection: 'memory:' });
    await source.send('here');
    await source.close();
    const stream = new PullStream('q', { connection: 'memory:' });
    assert.deepEqual(await once(stream, 'data'), ['here']);
    stream.destroy();
  });

  it("takes a driver of one's own, and refuses at construction what it does not support", async () => {
    registerDriver('plain', {
      supports: { ...everything, sides: false, maxLength: false, names: false },
      connect: (target, options) => connectMemory(`memory:${target}`, options),
    });
    const connection = connect('plain://anywhere');
    await push(connection, 'q', numbers(5));
    assert.deepEqual(await drain(connection, 'q'), numbers(5));
    const error = { code: 'ERR_MILLRACE_NOT_SUPPORTED' };
    assert.throws(() => new PushStream('q', { connection, maxLength: 3 }), { ...error, message: /maxLength/ });
    assert.throws(() => new PushStream('q', { connection, side: 'right' }), { ...error, message: /side: 'right'/ });
    assert.throws(() => new PullStream('q', { connection, side: 'left' }), { ...error, message: /side: 'left'/ });
    assert.throws(() => new DeliveryStream('q', { connection, consumer: 'me' }), { ...error, message: /consumer/ });
    await connection.close();
  });

  it('asks a driver again that could not connect', async () => {
    let tries = 0;
    registerDriver('late', {
      supports: everything,
      connect: (_target, options) => {
        tries += 1;
        if (tries === 1) throw new Error('on purpose');
        return connectMemory('memory:', options);
      },
    });
    const connection = connect('late:');
    await assert.rejects(connection.ready, /on purpose/);
    await connection.ready;
    await connection.close();
  });

  it('fails the streams of a driver that cannot connect', async () => {
    registerDriver('broken', {
      supports: everything,
      connect: () => Promise.reject(new Error('on purpose')),
    });
    const connection = connect('broken:');
    await assert.rejects(connection.ready, /on purpose/);
    await assert.rejects(once(new PullStream('q', { connection }), 'data'), /on purpose/);
    await assert.rejects(new PushStream('q', { connection }).on('error', () => {}).send(1), /on purpose/);
    await connection.close();
  });

  it('closes its streams: what they hold flows on, is given back, or is stored', async () => {
    const connection = connect('memory:');
    await push(connection, 'q', numbers(100));
    const pulling = new PullStream('q', { connection, highWaterMark: 8 });
    const values: unknown[] = [];
    pulling.on('data', (value) => values.push(value));
    const pushing = new PushStream('other', { connection });
    for (const n of numbers(20)) pushing.write(n);
    await once(pulling, 'data');
    await connection.close();
    assert.ok(pulling.readableEnded && pushing.writableFinished);
  });

  it('is an AsyncDisposable', async () => {
    let pushing: PushStream;
    {
      await using connection = connect('memory:disposed');
      pushing = new PushStream('q', { connection });
      pushing.write(1);
    }
    assert.ok(pushing.writableFinished);
  });

  it('never loads ioredis for memory:', async () => {
    const { printed } = await run(`
      import { createRequire } from 'node:module';
      const loaded = () => Object.keys(createRequire(import.meta.url).cache).filter((file) => /ioredis|generic-pool/.test(file));
      const connection = connect('memory:');
      const source = new PushStream('q', { connection });
      await source.send(1);
      console.log(loaded().length);
      await connection.close();
      connect('redis://127.0.0.1:1').ready.catch(() => {});
      while (loaded().length === 0) await new Promise((resolve) => setImmediate(resolve));
      console.log('and does for redis:');
      process.exit();
    `);
    assert.equal(printed, '0\nand does for redis:');
  });

  describe('lets the process end', () => {
    let server: RedisServer;
    before(async () => {
      server = await RedisServer.start();
    });
    after(() => server[Symbol.asyncDispose]());

    const programs: Record<string, string> = {
      'when its streams are closed': `
        const source = new PushStream('q');
        await source.send(1);
        const stream = new PullStream('q');
        for await (const value of stream) break;
        await source.close();
        console.log('closed');
      `,
      'when a connection is closed while streams wait': `
        const connection = connect();
        new PullStream('q1', { connection }).resume();
        new PullStream('q2', { connection }).resume();
        await connection.ready;
        await connection.close();
        console.log('closed');
      `,
      'when streams of a connection are closed, and it is not': `
        const connection = connect();
        const source = new PushStream('q3', { connection });
        await source.send(1);
        await source.close();
        console.log('closed');
      `,
      'when a connection has been ready, and nothing uses it': `
        await connect().ready;
        console.log('closed');
      `,
      'when the broker was never there': `
        const connection = connect('redis://127.0.0.1:1');
        const stream = new PullStream('q4', { connection }).resume();
        await connection.close();
        console.log('closed');
      `,
      'when a stream is destroyed': `
        const stream = new PullStream('q5');
        stream.on('ready', () => stream.destroy());
        stream.on('close', () => console.log('closed'));
        stream.resume();
      `,
    };

    for (const [name, program] of Object.entries(programs)) {
      it(name, async () => {
        const { printed, lived } = await run(program, { MILLRACE_URL: server.url });
        assert.equal(printed, 'closed');
        // The promise itself: within a second.
        assert.ok(lived < 1000, `lived on for ${lived} ms`);
      });
    }
  });
});
