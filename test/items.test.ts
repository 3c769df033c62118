import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import fc from 'fast-check';
import * as v from 'valibot';
import { type Connection, connect, type MillraceError, PullStream, PushStream } from '../lib/index.ts';
import { describeEach, uniqueQueue } from './support/brokers.ts';
import { seed } from './support/random.ts';
import { RedisServer } from './support/redis.ts';
import { closed, drain, numbers, push, until } from './support/streams.ts';

describeEach('items', (broker) => {
  let connection: Connection;
  let queue: string;
  beforeEach(() => {
    connection = connect(broker().url);
    queue = uniqueQueue();
  });
  afterEach(() => connection.close());

  it(`are JSON values that come out as they went in: 10,000 random ones (seed ${seed})`, async () => {
    const values = fc
      .sample(fc.jsonValue({ maxDepth: 4 }), { numRuns: 10_000, seed })
      .filter((value) => value !== null)
      // JSON knows no -0.
      .map((value) => JSON.parse(JSON.stringify(value)));
    await push(connection, queue, values);
    assert.deepEqual(await drain(connection, queue), values);
  });

  it(`are texts of any characters (seed ${seed})`, async () => {
    const texts = fc.sample(fc.string({ unit: 'binary', maxLength: 50 }), { numRuns: 2000, seed });
    await push(connection, queue, texts);
    assert.deepEqual(await drain(connection, queue), texts);
  });

  it('are JSON text with lone surrogates, too', async () => {
    await push(connection, queue, ['\ud800', '\udc00\ud800']);
    assert.deepEqual(await drain(connection, queue), ['\ud800', '\udc00\ud800']);
  });

  it("are bytes with codec: 'raw'", async () => {
    const source = new PushStream(queue, { connection, codec: 'raw' });
    const bytes = [randomBytes(10), Buffer.alloc(0), new Uint8Array([0, 255, 10, 13]), 'żółw', new Uint16Array([258])];
    for (const item of bytes) source.write(item);
    await source.close();
    const stream = new PullStream<Buffer>(queue, { connection, codec: 'raw' });
    const items: Buffer[] = [];
    for await (const item of stream) if (items.push(item) === bytes.length) break;
    assert.ok(items.every(Buffer.isBuffer));
    assert.deepEqual(
      items.map((item) => item.toString('hex')),
      [(bytes[0] as Buffer).toString('hex'), '', '00ff0a0d', Buffer.from('żółw').toString('hex'), '0201'],
    );
  });

  it("are refused with codec: 'raw' when they are no bytes, or no UTF-8", async () => {
    const stream = new PushStream<unknown>(queue, { connection, codec: 'raw' });
    for (const value of [{}, 1, true, [1], '\ud800']) {
      await assert.rejects(stream.send(value), { code: 'ERR_MILLRACE_INVALID_ITEM' });
    }
    await stream.close();
  });

  it("go through a codec of one's own", async () => {
    const codec = {
      encode: (value: unknown) => Buffer.from(`<${value}>`),
      decode: (bytes: Uint8Array) => Number(Buffer.from(bytes).toString().slice(1, -1)),
    };
    const source = new PushStream<number>(queue, { connection, codec });
    await source.send(42);
    await source.close();
    const stream = new PullStream<number>(queue, { connection, codec });
    assert.deepEqual(await once(stream, 'data'), [42]);
    stream.destroy();
  });

  it("are refused when one's own codec gives no bytes", async () => {
    const codec = { encode: () => ({}) as Uint8Array, decode: () => 1 };
    const stream = new PushStream(queue, { connection, codec });
    await assert.rejects(stream.send(1), { code: 'ERR_MILLRACE_INVALID_ITEM', message: /the codec gave no bytes/ });
    await stream.close();
  });

  it('may be 100,000 arrays deep when they are pulled', async () => {
    const source = new PushStream(queue, { connection, codec: 'raw' });
    await source.send('['.repeat(100_000) + ']'.repeat(100_000));
    await source.close();
    const stream = new PullStream(queue, { connection });
    const [value] = await once(stream, 'data');
    assert.ok(Array.isArray(value));
    stream.destroy();
    await closed(stream);
  });

  describe('with a schema', () => {
    const schema = v.object({ width: v.pipe(v.string(), v.transform(Number), v.number(), v.minValue(1)) });
    const slow = v.pipeAsync(
      v.number(),
      v.checkAsync(async (n) => {
        await new Promise((resolve) => setImmediate(resolve));
        return n % 3 !== 0;
      }, 'must not be a third'),
    );

    it('are stored as written, and pulled as the schema makes them', async () => {
      const source = new PushStream(queue, { connection, schema });
      await source.send({ width: '7' });
      await assert.rejects(source.send({ width: '0' }), {
        code: 'ERR_MILLRACE_INVALID_ITEM',
        message: /the schema refuses it: width: Invalid value: Expected >=1/,
        item: { width: '0' },
      });
      await source.close();
      const stream = new PullStream(queue, { connection, schema });
      for await (const { width } of stream) {
        const typed: number = width;
        assert.equal(typed, 7);
        break;
      }
    });

    it('keep their order when it takes its time, at both ends', async () => {
      const source = new PushStream(queue, { connection, schema: slow, invalid: 'skip' });
      const skipped: unknown[] = [];
      source.on('invalid', ({ item }) => skipped.push(item));
      for (const n of numbers(30)) source.write(n);
      await source.close();
      assert.deepEqual(skipped, [0, 3, 6, 9, 12, 15, 18, 21, 24, 27]);
      await push(connection, queue, [30, 31]);
      const stream = new PullStream(queue, { connection, schema: slow, highWaterMark: 4 });
      const values: unknown[] = [];
      const invalid: unknown[] = [];
      stream.on('invalid', ({ item }) => invalid.push(JSON.parse(item)));
      for await (const value of stream) if (values.push(value) === 21) break;
      assert.deepEqual(values, [...numbers(30).filter((n) => n % 3), 31]);
      await until(() => invalid.length === 1);
      assert.deepEqual(invalid, [30]);
    });

    it('are stored though thousands are looked at, each told', async () => {
      for (const late of [false, true]) {
        const validate = (value: unknown) =>
          late ? new Promise((resolve) => setImmediate(resolve, { value })) : { value };
        const any = { '~standard': { version: 1, vendor: 'test', validate } } as never;
        const source = new PushStream(queue, { connection, schema: any });
        let told = 0;
        for (const n of numbers(3000)) {
          source.write(n, (error) => {
            assert.ifError(error);
            told += 1;
          });
          if (n % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
        }
        await source.close();
        assert.equal(told, 3000);
        assert.deepEqual(await drain(connection, queue), numbers(3000));
      }
    });

    it('are given back when the stream is destroyed while it is at work', async () => {
      await push(connection, queue, numbers(20, 1));
      const never = v.pipeAsync(
        v.number(),
        v.checkAsync(() => new Promise<boolean>((resolve) => setTimeout(resolve, 50, true))),
      );
      const stream = new PullStream(queue, { connection, schema: never });
      stream.resume();
      await once(stream, 'data');
      stream.destroy();
      await closed(stream);
      assert.deepEqual(await drain(connection, queue), numbers(19, 2));
    });

    it('are refused when it throws', async () => {
      const throws = {
        '~standard': { version: 1, vendor: 'test', validate: () => assert.fail('on purpose') },
      } as const;
      const stream = new PushStream(queue, { connection, schema: throws });
      await assert.rejects(stream.send(1 as never), {
        code: 'ERR_MILLRACE_INVALID_ITEM',
        message: /schema threw: on purpose/,
      });
      await stream.close();
    });
  });
});

describe('items that cannot be read (redis)', () => {
  let server: RedisServer;
  before(async () => {
    server = await RedisServer.start();
  });
  after(() => server[Symbol.asyncDispose]());

  it('become dead letters, byte for byte with the reason, and the stream goes on', async () => {
    const queue = uniqueQueue();
    const client = server.client();
    const bad: Record<string, Buffer> = {
      'the codec refuses it: ': Buffer.from('{"a":'),
      'Unexpected end': Buffer.alloc(0),
      'it is null': Buffer.from('null'),
      'not valid for encoding utf-8': Buffer.from([0x22, 0xc3, 0x28, 0x22]),
      'larger than maxBytes': Buffer.from(`"${'x'.repeat(100)}"`),
      'is not valid JSON': randomBytes(64),
    };
    for (const bytes of Object.values(bad)) await client.lpush(queue, bytes, '"good"');
    const connection = connect(server.url);
    const stream = new PullStream(queue, { connection, maxBytes: 90 });
    const invalid: MillraceError[] = [];
    stream.on('invalid', (error) => invalid.push(error));
    const values: unknown[] = [];
    stream.on('data', (value) => values.push(value));
    await until(() => values.length === 6 && invalid.length === 6);
    assert.deepEqual(values, Array(6).fill('good'));
    const letters = (await client.xrangeBuffer(`{${queue}}:dead`, '-', '+')) as [Buffer, Buffer[]][];
    const expected = Object.entries(bad);
    assert.equal(letters.length, expected.length);
    for (const [index, [, [, item, , reason, , attempts]]] of letters.entries()) {
      const [words, bytes] = expected[index] as [string, Buffer];
      assert.deepEqual(item, bytes);
      assert.ok(words === 'is not valid JSON' || String(reason).includes(words), `${reason} has no "${words}"`);
      assert.equal(String(attempts), '1');
      assert.deepEqual(invalid[index]?.item, bytes);
    }
    assert.equal(invalid[4]?.code, 'ERR_MILLRACE_TOO_LARGE');
    await connection.close({ timeout: 500 });
  });

  it('are given back when they cannot become dead letters', async () => {
    const queue = uniqueQueue();
    const client = server.client();
    await client.set(`{${queue}}:dead`, 'another type');
    await client.lpush(queue, 'bad');
    const connection = connect(server.url);
    const stream = new PullStream(queue, { connection });
    await assert.rejects(once(stream, 'data'), { code: 'ERR_MILLRACE_REFUSED', message: /WRONGTYPE/ });
    await closed(stream);
    assert.deepEqual(await client.lrange(queue, 0, -1), ['bad']);
    await connection.close();
  });

  it('keep the newest 10,000 dead letters', async () => {
    const queue = uniqueQueue();
    const client = server.client();
    const bad = numbers(10_050).map((n) => `bad ${n}`);
    await client.lpush(queue, ...bad);
    const connection = connect(server.url);
    const stream = new PullStream(queue, { connection });
    stream.resume();
    let told = 0;
    stream.on('invalid', () => (told += 1));
    await until(() => told === 10_050);
    assert.equal(await client.xlen(`{${queue}}:dead`), 10_000);
    const [first] = (await client.xrange(`{${queue}}:dead`, '-', '+', 'COUNT', 1)) as [string, string[]][];
    assert.equal(first?.[1][1], 'bad 50');
    stream.destroy();
    await connection.close();
  });
});
