import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type Connection, connect, PullStream, PushStream } from '../../../lib/index.ts';
import { uniqueQueue } from '../../support/brokers.ts';
import { TcpProxy } from '../../support/proxy.ts';
import { random, seed } from '../../support/random.ts';
import { RedisServer } from '../../support/redis.ts';
import { closed, drain, nextTurn, numbers, push, readAhead, take, until } from '../../support/streams.ts';

/** A server that has, after a kill, all that it had acknowledged. */
const durable = ['--appendonly', 'yes', '--appendfsync', 'always'];

/** Where one value is pushed a number of times, the first time it came. */
function firstOfEach(values: number[]): number[] {
  return [...new Set(values)];
}

describe('a broken connection (redis)', function () {
  this.timeout(120_000);
  let server: RedisServer;
  let connection: Connection;
  let queue: string;

  before(async () => {
    server = await RedisServer.start(...durable);
  });
  after(() => server[Symbol.asyncDispose]());
  beforeEach(() => {
    connection = connect(server.url);
    queue = uniqueQueue();
  });
  afterEach(() => connection.close());

  /** Kills every connection to the server but the one that says so. */
  const killAll = () => server.client().call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');

  it('leaves a PullStream that waits going on by itself', async () => {
    const stream = new PullStream(queue, { connection });
    const values: unknown[] = [];
    stream.on('data', (value) => values.push(value));
    await once(stream, 'ready');
    for (let n = 0; n < 5; n += 1) {
      await killAll();
      await push(connection, queue, [n]);
      await until(() => values.length === n + 1);
    }
    assert.deepEqual(values, numbers(5));
    stream.destroy();
  });

  /** 20 times kills every connection, and 5 times the server; waits each time until things go on. */
  async function trouble(goOn: () => Promise<void>): Promise<void> {
    for (let round = 0; round < 25; round += 1) {
      await goOn();
      if (round % 5 < 4) {
        await killAll();
      } else {
        await server.kill();
        await server.start();
      }
    }
    await goOn();
  }

  it(`costs no push, and no order, over 20 kills and 5 restarts (seed ${seed})`, async () => {
    const dice = random();
    const source = new PushStream(queue, { connection });
    let pushed = 0;
    let stored = 0;
    let stop = false;
    const producing = (async () => {
      while (!stop) {
        if (!source.write(pushed++, () => (stored += 1))) await once(source, 'drain');
        if (dice() < 0.05) await nextTurn();
      }
    })();
    await trouble(() => {
      const before = stored;
      return until(() => stored > before + 200);
    });
    stop = true;
    await producing;
    await source.close();
    const values = (await drain(connection, queue)) as number[];
    assert.deepEqual(firstOfEach(values), numbers(pushed));
  });

  it('costs pulls at most what was said, and no order, over 20 kills and 5 restarts', async () => {
    const pushed = 100_000;
    await push(connection, queue, numbers(pushed));
    const stream = new PullStream(queue, { connection, highWaterMark: 32 });
    let mayBeLost = 0;
    stream.on('unanswered', (atMost) => (mayBeLost += atMost));
    const values: number[] = [];
    stream.on('data', (value) => values.push(value));
    await trouble(() => {
      const before = values.length;
      return until(() => values.length > before + 200);
    });
    await stream.close();
    assert.ok(values.length < pushed, 'nothing was left to pull at the end');
    for (const value of (await drain(connection, queue)) as number[]) values.push(value);
    assert.deepEqual(
      values,
      firstOfEach(values).toSorted((a, b) => a - b),
      'doubled, or out of order',
    );
    const missing = pushed - values.length;
    assert.ok(missing <= mayBeLost, `${missing} are missing, at most ${mayBeLost} were said to be`);
    assert.ok(mayBeLost <= 25 * 16, `${mayBeLost} may be lost: more than one pop for each kill`);
  });

  it('holds writes back while the server is away, and stores them when it is back', async () => {
    const stream = new PushStream(queue, { connection, highWaterMark: 16 });
    await once(stream, 'ready');
    await server.stop();
    let accepted = 0;
    let stored = 0;
    let full = false;
    while (!full) {
      full = !stream.write(accepted++, (error) => {
        assert.ifError(error);
        stored += 1;
      });
      await nextTurn();
    }
    assert.ok(accepted <= 16 + 8, `${accepted} were accepted`);
    assert.equal(stored, 0);
    await server.start();
    await once(stream, 'drain');
    await stream.close();
    assert.equal(stored, accepted);
    assert.deepEqual(firstOfEach((await drain(connection, queue)) as number[]), numbers(accepted));
  });

  it('opens streams before there is a server', async () => {
    await server.stop();
    const stream = new PullStream(queue, { connection });
    const data = once(stream, 'data');
    const source = new PushStream(queue, { connection });
    const sent = source.send('early');
    await server.start();
    await sent;
    assert.deepEqual(await data, ['early']);
    stream.destroy();
    source.end();
  });

  it('gives back what a stream held when the connection is broken at its end', async () => {
    await push(connection, queue, numbers(200));
    const stream = new PullStream(queue, { connection, highWaterMark: 10 });
    const taken = await readAhead(stream, 5);
    await killAll();
    stream.destroy();
    await closed(stream);
    assert.deepEqual([...taken, ...(await drain(connection, queue))], numbers(200));
  });

  it('says what it lost when the server stays away past the end of a close', async () => {
    await using own = await RedisServer.start();
    const away = connect(own.url);
    await push(away, queue, numbers(200));
    const stream = new PullStream(queue, { connection: away, highWaterMark: 4 });
    const taken = await readAhead(stream, 2);
    await own.stop();
    const error = await stream.close({ timeout: 200 }).catch((thrown) => thrown);
    assert.equal(error.code, 'ERR_MILLRACE_CONNECTION');
    assert.match(error.message, /^[2-4] items popped from queue ".*" could not be given back/);
    assert.deepEqual([...taken, ...error.item].map(String), numbers(taken.length + error.item.length).map(String));
    await away.close();
  });

  for (const state of ['waits', 'is in the middle of a queue']) {
    it(`recovers a PullStream that ${state} from a link that is dead without a word`, async () => {
      await using proxy = await TcpProxy.start(server.port);
      const through = connect(proxy.url);
      const stream = new PullStream(queue, { connection: through, highWaterMark: 4 });
      const values: number[] = [];
      stream.on('data', (value) => values.push(value));
      await once(stream, 'ready');
      await push(connection, queue, numbers(state === 'waits' ? 1 : 2000));
      await until(() => values.length > 0);
      proxy.silence(true);
      await push(connection, queue, [0]);
      await until(() => proxy.swallowed > 0);
      proxy.silence(false);
      await push(connection, queue, [-1]);
      await until(() => values.includes(-1));
      stream.destroy();
      await through.close();
    });
  }

  it('recovers a PushStream from a link that is dead without a word', async () => {
    await using proxy = await TcpProxy.start(server.port);
    const through = connect(proxy.url);
    const stream = new PushStream(queue, { connection: through });
    await stream.send('before');
    proxy.silence(true);
    const sent = stream.send('behind');
    await until(() => proxy.swallowed > 0);
    proxy.silence(false);
    await sent;
    await stream.close();
    await through.close();
    assert.deepEqual(firstOfEach((await drain(connection, queue)) as number[]), ['before', 'behind']);
  });

  it("takes its own silence, when the process was busy for long, for nobody's fault", async () => {
    await push(connection, queue, numbers(500));
    const stream = new PullStream(queue, { connection });
    stream.on('unanswered', (atMost) => assert.fail(`a pop of ${atMost} was given up`));
    const values: unknown[] = [];
    stream.on('data', (value) => {
      values.push(value);
      if (values.length === 100) for (const end = performance.now() + 4500; performance.now() < end; );
    });
    await until(() => values.length === 500);
    assert.deepEqual(values, numbers(500));
    stream.destroy();
  });

  it('recovers from a server that hangs for longer than a link may be silent', async () => {
    const stream = new PullStream(queue, { connection });
    const data = once(stream, 'data');
    await once(stream, 'ready');
    server.freeze(true);
    await new Promise((resolve) => setTimeout(resolve, 5000));
    server.freeze(false);
    await push(connection, queue, ['awake']);
    assert.deepEqual(await data, ['awake']);
    stream.destroy();
  });

  describe('lets a close end in time, and say what is lost', () => {
    const timeout = 400;

    /** How long it took, in milliseconds, with room for a slow machine. */
    const inTime = async (closing: () => Promise<unknown>): Promise<void> => {
      const late = new Promise((_, reject) =>
        setTimeout(reject, timeout * 5, new Error('the close took too long')).unref(),
      );
      await Promise.race([closing(), late]);
    };

    for (const away of ['stopped', 'frozen', 'silent', 'never there'] as const) {
      it(`with a server that is ${away}`, async () => {
        await using own = await RedisServer.start();
        await using proxy = await TcpProxy.start(own.port);
        if (away === 'never there') await own.stop();
        const through = connect(proxy.url);
        const pushing = new PushStream(queue, { connection: through });
        const pulling = new PullStream(queue, { connection: through, highWaterMark: 8 });
        const waiting = new PullStream(uniqueQueue(), { connection: through });
        waiting.resume();
        pulling.on('readable', () => {});
        let held = 0;
        if (away !== 'never there') {
          await Promise.all(numbers(200).map((n) => pushing.send(n)));
          await readAhead(pulling, 4);
          held = pulling.readableLength;
        }
        if (away === 'stopped') await own.stop();
        if (away === 'frozen') own.freeze(true);
        if (away === 'silent') proxy.silence(true);
        const sent = Promise.allSettled(numbers(3).map((n) => pushing.send(n)));
        await inTime(async () => {
          const failure = await through.close({ timeout }).then(
            () => undefined,
            (error) => error,
          );
          const failures: Error[] = failure instanceof AggregateError ? failure.errors : [failure];
          const said = failures.map((error) => error.message).join('\n');
          assert.match(said, /3 items for queue "[^"]+" were not stored in time/);
          if (held > 0)
            assert.match(said, new RegExp(`^[${held}-8] items popped from queue "[^"]+" could not be given back`, 'm'));
        });
        for (const result of await sent) assert.equal(result.status, 'rejected');
        assert.equal(through.stats().clients, 0);
        own.freeze(false);
      });
    }
  });

  it('takes what a restarted server still has', async () => {
    await push(connection, queue, numbers(10));
    await server.kill();
    await server.start();
    assert.deepEqual(await take(connection, queue, 10), numbers(10));
  });
});
