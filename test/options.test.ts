import assert from 'node:assert/strict';
import { everything } from '../lib/connect.ts';
import { connect, PullStream, PushStream, registerDriver } from '../lib/index.ts';

/** What is wrong, the code it gets, and what the message says beside the name of the option and what came. */
type Case = [options: Record<string, unknown>, code: string, says: RegExp];

const both: Case[] = [
  [{ highWaterMark: -1 }, 'ERR_OUT_OF_RANGE', /"options\.highWaterMark".*an integer >= 0. Received -1/],
  [{ highWaterMark: 1.5 }, 'ERR_OUT_OF_RANGE', /"options\.highWaterMark".*Received 1\.5/],
  [{ highWaterMark: Number.POSITIVE_INFINITY }, 'ERR_OUT_OF_RANGE', /Received Infinity/],
  [{ highWaterMark: '16' }, 'ERR_INVALID_ARG_TYPE', /"options\.highWaterMark".*of type number. Received '16'/],
  [{ maxBytes: 0 }, 'ERR_OUT_OF_RANGE', /"options\.maxBytes".*>= 1. Received 0/],
  [{ codec: 'xml' }, 'ERR_INVALID_ARG_TYPE', /"options\.codec".*'json', 'raw' or an object.*Received 'xml'/],
  [{ codec: null }, 'ERR_INVALID_ARG_TYPE', /"options\.codec".*Received null/],
  [{ codec: { encode() {} } }, 'ERR_INVALID_ARG_TYPE', /functions encode and decode/],
  [{ schema: {} }, 'ERR_INVALID_ARG_TYPE', /"options\.schema".*a Standard Schema/],
  [{ signal: {} }, 'ERR_INVALID_ARG_TYPE', /"options\.signal".*an instance of AbortSignal/],
  [{ side: 'top' }, 'ERR_INVALID_ARG_VALUE', /"options\.side".*one of 'left', 'right'. Received 'top'/],
  [{ connection: 7 }, 'ERR_INVALID_ARG_TYPE', /"options\.connection".*Received 7/],
  [
    { connection: 'http://localhost' },
    'ERR_INVALID_ARG_VALUE',
    /memory:, redis:, rediss:.*Received 'http:\/\/localhost'/,
  ],
  [{ concurrency: 3 }, 'ERR_INVALID_ARG_VALUE', /"options".*highWaterMark.*Received { concurrency: 3 }/],
];

const push: Case[] = [
  [{ maxLength: 0 }, 'ERR_OUT_OF_RANGE', /"options\.maxLength".*>= 1/],
  [{ invalid: 'ignore' }, 'ERR_INVALID_ARG_VALUE', /"options\.invalid".*one of 'fail', 'skip'. Received 'ignore'/],
  [{ timeout: 3 }, 'ERR_INVALID_ARG_VALUE', /Received { timeout: 3 }/],
];

const pull: Case[] = [
  [{ timeout: -1 }, 'ERR_OUT_OF_RANGE', /"options\.timeout".*>= 0 and <= 2147483647/],
  [{ maxLength: 3 }, 'ERR_INVALID_ARG_VALUE', /Received { maxLength: 3 }/],
];

const names = [undefined, null, 7, '', 'a b', 'a{b}', 'ü', 'a\n', 'x'.repeat(129), '*'];

describe('options', () => {
  for (const [Stream, cases] of [
    [PushStream, [...both, ...push]],
    [PullStream, [...both, ...pull]],
  ] as const) {
    describe(Stream.name, () => {
      for (const [options, code, says] of cases) {
        it(`refuses ${says.source}`, () => {
          const connection = 'memory:options';
          assert.throws(() => new Stream('q', { connection, ...options } as object), { code, message: says });
        });
      }

      it('refuses options that are no object', () => {
        assert.throws(() => new Stream('q', 'fast' as never), { code: 'ERR_INVALID_ARG_TYPE', message: /"options"/ });
        assert.throws(() => new Stream('q', null as never), { code: 'ERR_INVALID_ARG_TYPE' });
      });

      it('takes undefined as not given', async () => {
        const stream = new Stream('q', {
          connection: 'memory:options',
          highWaterMark: undefined,
          side: undefined,
        } as object);
        await stream.close();
      });

      for (const name of names) {
        it(`refuses the queue name ${JSON.stringify(name)?.slice(0, 20)}`, () => {
          const code = typeof name === 'string' ? 'ERR_INVALID_ARG_VALUE' : 'ERR_INVALID_ARG_TYPE';
          assert.throws(() => new Stream(name as string), { code, message: /"queue" argument must be/ });
        });
      }

      it('takes names of 128 characters, with all that is allowed', async () => {
        const name = 'aZ09._:/-'.padEnd(128, 'x');
        await new Stream(name, { connection: 'memory:options' }).close();
      });
    });
  }

  it('of connect() are checked', () => {
    assert.throws(() => connect('memory:', { prefix: 'a{b' }), {
      code: 'ERR_INVALID_ARG_VALUE',
      message: /"options\.prefix"/,
    });
    assert.throws(() => connect('memory:', { prefix: 7 as never }), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(() => connect('memory:', { maxClients: 0 }), {
      code: 'ERR_OUT_OF_RANGE',
      message: /"options\.maxClients"/,
    });
    assert.throws(() => connect('memory:', { max: 1 } as object), { code: 'ERR_INVALID_ARG_VALUE', message: /max: 1/ });
    assert.throws(() => connect(7 as never), { code: 'ERR_INVALID_ARG_TYPE', message: /"url"/ });
    assert.throws(() => connect('localhost:6379'), { code: 'ERR_INVALID_ARG_VALUE', message: /"url"/ });
    for (const url of ['redis://a b', 'redis:127.0.0.1:1', 'redis://host/jobs', 'redis://:100%@host', 'memoryX']) {
      assert.throws(() => connect(url), { code: 'ERR_INVALID_ARG_VALUE', message: /"url"/ }, url);
    }
    for (const url of ['redis://host', 'redis://host/', 'rediss://user:p%40ss@host:1/7', 'redis://[::1]:6379'])
      connect(url);
  });

  it('of connect() are never shown with a password', () => {
    for (const url of ['redis://user:secret@a b', 'redis://:p/secret@host', 'http://user:x:secret@host']) {
      assert.throws(
        () => connect(url),
        (error: Error) => !error.message.includes('secret'),
      );
    }
  });

  it('of close() and send() are checked', async () => {
    const stream = new PushStream('q', { connection: 'memory:options' });
    assert.throws(() => stream.close({ timeout: -5 }), { code: 'ERR_OUT_OF_RANGE', message: /"options\.timeout"/ });
    await assert.rejects(stream.send(1, { dely: 3 } as object), {
      code: 'ERR_INVALID_ARG_VALUE',
      message: /dely: 3/,
    });
    await stream.close();
  });

  it('of registerDriver() are checked', () => {
    const driver = { supports: everything, connect: () => assert.fail() };
    assert.throws(() => registerDriver('', driver), { code: 'ERR_INVALID_ARG_VALUE', message: /"scheme"/ });
    assert.throws(() => registerDriver('Redis:', driver), { code: 'ERR_INVALID_ARG_VALUE' });
    assert.throws(() => registerDriver(7 as never, driver), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(() => registerDriver('x', {} as never), { code: 'ERR_INVALID_ARG_TYPE', message: /"driver"/ });
  });
});
