import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  Client,
  type Connection,
  connect,
  DeliveryStream,
  type MillraceError,
  ReplyTransform,
  type Request,
  RequestDuplex,
  serve,
} from '../../../lib/index.ts';
import { uniqueQueue } from '../../support/brokers.ts';
import { GearmanServer } from '../../support/gearman.ts';
import { numbers, until } from '../../support/streams.ts';

describe('requests over Gearman', () => {
  let server: GearmanServer;
  let connection: Connection;
  let queue: string;
  const opened: { close(): Promise<unknown> }[] = [];
  const open = <T extends { close(): Promise<unknown> }>(one: T): T => {
    opened.push(one);
    return one;
  };

  before(async () => {
    server = await GearmanServer.start();
  });
  after(() => server[Symbol.asyncDispose]());
  beforeEach(() => {
    connection = connect(server.url);
    queue = uniqueQueue();
  });
  afterEach(async () => {
    for (const one of opened.splice(0)) await one.close();
    await connection.close();
    assert.deepEqual(connection.stats().clients, 0);
  });

  it('are answered by the handler of their method', async () => {
    open(serve(queue, { square: (n: number) => n * n, negate: (n: number) => -n }, { connection }));
    const client = open(new Client(queue, { connection }));
    const answers = await Promise.all([client.request('square', 3), client.request('negate', 3)]);
    assert.deepEqual(answers, [9, -3]);
  });

  it('carry nothing, null, and what JSON can say', async () => {
    open(serve(queue, { echo: (value: unknown) => value }, { connection }));
    const client = open(new Client(queue, { connection }));
    for (const value of [undefined, null, 0, '', 'żółć 🦊 \0', [], { a: { b: [null] } }, 'x'.repeat(1_000_000)]) {
      assert.deepEqual(await client.request('echo', value), value);
    }
  });

  it('are told of how far the work is, by the packet that Gearman has for it', async () => {
    const heard: unknown[] = [];
    const work = async (_value: unknown, request: Request): Promise<number> => {
      request.progress(3, 4);
      await until(() => heard.length === 1);
      return 4;
    };
    open(serve(queue, { work }, { connection }));
    const client = open(new Client(queue, { connection }));
    const onProgress = (done: number, total: number): void => void heard.push([done, total]);
    assert.equal(await client.request('work', 1, { onProgress }), 4);
    assert.deepEqual(heard, [[3, 4]]);
  });

  it('fail with the name, the message and the code of what a handler has thrown', async () => {
    const handler = () => {
      throw Object.assign(new RangeError('too "large"'), { code: 'E_LARGE' });
    };
    open(serve(queue, { fail: handler }, { connection }));
    const client = open(new Client(queue, { connection }));
    await assert.rejects(client.request('fail', 1), {
      code: 'ERR_MILLRACE_REMOTE',
      remote: { name: 'RangeError', message: 'too "large"', code: 'E_LARGE' },
    });
  });

  it('fail as a dead letter where the handler rejects them', async () => {
    open(serve(queue, { no: (_value: unknown, request) => void request.reject('not this one') }, { connection }));
    const client = open(new Client(queue, { connection }));
    await assert.rejects(client.request('no', 1), {
      code: 'ERR_MILLRACE_DEAD_LETTER',
      remote: { name: 'MillraceError', message: 'not this one', code: 'ERR_MILLRACE_DEAD_LETTER' },
    });
  });

  it('are answered, and asked, in a pipe: those of no method by one handler', async () => {
    const replies = new ReplyTransform((n: number) => n + 1);
    const answering = pipeline(new DeliveryStream(queue, { connection }), replies);
    const answers: number[] = [];
    await pipeline(Readable.from(numbers(500)), new RequestDuplex(queue, { connection }), async (all) => {
      for await (const one of all) answers.push(one as number);
    });
    assert.deepEqual(answers, numbers(500, 1));
    await connection.close();
    await answering;
  });

  it('are answered in a pipe that is made by hand and names its methods', async () => {
    const stream = new DeliveryStream(queue, { connection, methods: ['square'] });
    stream.pipe(new ReplyTransform({ square: (n: number) => n * n }));
    const client = open(new Client(queue, { connection }));
    assert.equal(await client.request('square', 5), 25);
    await assert.rejects(client.request('default', 5), { code: 'ERR_MILLRACE_NO_METHOD' });
  });

  it('run side by side on one connection', async () => {
    let running = 0;
    let most = 0;
    const waiting: (() => void)[] = [];
    const handler = async (n: number): Promise<number> => {
      most = Math.max(most, ++running);
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
        if (waiting.length === 20) for (const go of waiting) go();
      });
      running -= 1;
      return n;
    };
    open(serve(queue, { wait: handler }, { connection, concurrency: 20 }));
    const client = open(new Client(queue, { connection }));
    assert.deepEqual(await Promise.all(numbers(20).map((n) => client.request('wait', n))), numbers(20));
    assert.equal(most, 20);
    assert.equal((await server.status(`${queue}/wait`)).workers, 1);
  });

  it('that are retried come again from the same worker, as one attempt more', async () => {
    const attempts: number[] = [];
    const handler = (_value: unknown, request: { attempt: number; retry(o: object): unknown }): string => {
      attempts.push(request.attempt);
      if (request.attempt < 3) request.retry({ delay: 1 });
      return 'at last';
    };
    open(serve(queue, { often: handler }, { connection }));
    const client = open(new Client(queue, { connection }));
    assert.equal(await client.request('often', 1), 'at last');
    assert.deepEqual(attempts, [1, 2, 3]);
  });

  it('time out, and are not worked on when nobody wants any of them', async () => {
    const client = open(new Client(queue, { connection, timeout: 50 }));
    const failed = await Promise.all(numbers(3).map((n) => client.request('late', n).catch((error) => error)));
    for (const error of failed) assert.equal(error.code, 'ERR_MILLRACE_TIMEOUT');
    // Queued, and to be ignored: that is the third column.
    const jobs = async (): Promise<string[]> => (await server.ask('show jobs')).trim().split('\n').slice(0, -1);
    await until(async () => (await jobs()).every((job) => job.split('\t')[2] === '1'));
    const seen: number[] = [];
    open(serve(queue, { late: (n: number) => seen.push(n) }, { connection }));
    assert.equal(await client.request('late', 9, { timeout: 10_000 }), 1);
    assert.deepEqual(seen, [9]);
  });

  it('are cancelled: the reply to one that is at work is nobody’s', async () => {
    let answer: (value: string) => void = () => {};
    const working = new Promise<void>((resolve) => {
      const handler = () =>
        new Promise((done) => {
          answer = done;
          resolve();
        });
      open(serve(queue, { slow: handler, quick: () => 'quick' }, { connection, concurrency: 2 }));
    });
    const client = open(new Client(queue, { connection }));
    const controller = new AbortController();
    const other = client.request('quick', 0);
    const slow = client.request('slow', 0, { signal: controller.signal });
    await working;
    controller.abort();
    await assert.rejects(slow, { name: 'AbortError' });
    answer('too late');
    assert.equal(await other, 'quick');
    assert.equal(await client.request('quick', 1), 'quick');
    assert.equal(connection.stats().strayReplies, 0);
  });

  it('fail where nobody is there to work on them', async () => {
    const client = open(new Client(queue, { connection, consumerTimeout: 30 }));
    await assert.rejects(client.request('any', 1), { code: 'ERR_MILLRACE_NO_CONSUMER' });
  });

  it('are refused alone where Gearman cannot ask them', async () => {
    open(serve(queue, { echo: (value: unknown) => value }, { connection }));
    const client = open(new Client(queue, { connection }));
    const remote = (error: MillraceError): boolean => error.remote?.code === 'ERR_MILLRACE_NOT_SUPPORTED';
    const asked = [
      client.request('a\0b', 1),
      client.request('x'.repeat(600), 1),
      client.request('echo', 1, { headers: { a: 'b' } }),
    ];
    const fine = client.request('echo', 2);
    for (const one of asked) await assert.rejects(one, remote);
    assert.equal(await fine, 2);
  });

  it('as plain values cannot be answered', async () => {
    const replies = new ReplyTransform(() => 1, { connection });
    replies.write({ id: '1', method: 'm', channel: 'c' });
    const [error] = await once(replies, 'error');
    assert.equal((error as MillraceError).code, 'ERR_MILLRACE_NOT_SUPPORTED');
  });

  describe('in parts', () => {
    const count = async function* (n: number): AsyncGenerator<number> {
      yield* numbers(n);
    };

    it('come in order, then end', async () => {
      open(serve(queue, { count }, { connection }));
      const client = open(new Client(queue, { connection }));
      for (const n of [0, 1, 300]) assert.deepEqual(await client.requestStream('count', n).toArray(), numbers(n));
    });

    it('are one part where the answer is one', async () => {
      open(serve(queue, { square: (n: number) => n * n }, { connection }));
      const client = open(new Client(queue, { connection }));
      assert.deepEqual(await client.requestStream('square', 3).toArray(), [9]);
    });

    it('are refused to who asks for one', async () => {
      open(serve(queue, { count }, { connection }));
      const client = open(new Client(queue, { connection }));
      await assert.rejects(client.request('count', 3), { code: 'ERR_MILLRACE_REMOTE', message: /requestStream/ });
    });

    it('fail behind what came before the handler threw', async () => {
      const fail = async function* (): AsyncGenerator<number> {
        yield 1;
        throw new RangeError('no more');
      };
      open(serve(queue, { fail }, { connection }));
      const stream = open(new Client(queue, { connection })).requestStream('fail', 0);
      const parts: unknown[] = [];
      const reading = (async () => {
        for await (const part of stream) parts.push(part);
      })();
      await assert.rejects(reading, { code: 'ERR_MILLRACE_REMOTE', message: /no more/ });
      assert.deepEqual(parts, [1]);
    });

    it('fail where another worker begins anew', async () => {
      let stream: Readable | undefined;
      let runs = 0;
      const twice = async function* (_n: number, request: { release(): Promise<boolean> }): AsyncGenerator<number> {
        runs += 1;
        yield 1;
        if (runs > 1) return;
        await once(stream as Readable, 'readable');
        await request.release();
      };
      open(serve(queue, { twice }, { connection }));
      stream = open(new Client(queue, { connection })).requestStream('twice', 0);
      await once(stream, 'readable');
      await until(() => runs === 2);
      await assert.rejects(stream.toArray(), { code: 'ERR_MILLRACE_INTERRUPTED' });
    });
  });

  it('go to methods under the prefix', async () => {
    const prefixed = open(connect(server.url, { prefix: 'app:' }));
    open(serve(queue, { echo: (value: unknown) => value }, { connection: prefixed }));
    const client = new Client(queue, { connection: prefixed });
    assert.equal(await client.request('echo', 1), 1);
    assert.equal((await server.status(`app:${queue}/echo`)).workers, 1);
  });
});
