import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import * as Que from '../../lib/compat/que.ts';
import { describeEach, uniqueQueue } from '../support/brokers.ts';
import { RedisServer } from '../support/redis.ts';
import { numbers } from '../support/streams.ts';

type Worker = typeof Que.Model;

const connect = (...servers: string[]): Promise<void> =>
  new Promise((resolve, reject) => Que.connect(servers, (error) => (error ? reject(error) : resolve())));

const disconnect = (): Promise<void> =>
  new Promise((resolve, reject) => Que.disconnect((error) => (error ? reject(error) : resolve())));

function submit(worker: Worker, params: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    worker.submit(params, (error, response) => (error === false ? resolve(response) : reject(error)));
  });
}

/** The worker of the README, for a driver. */
function echoReverse(driver: string): Worker {
  return Que.define({
    job: uniqueQueue(),
    driver,
    process(callback) {
      const result = this.params.message.split('').reverse().join('');
      callback(false, { echo: result });
    },
  });
}

describeEach('que', (broker) => {
  let driver: string;
  beforeEach(async () => {
    driver = broker().url.replace(/:.*/, '');
    await connect(broker().url);
  });
  afterEach(disconnect);

  it('has jobs done', async () => {
    const worker = echoReverse(driver);
    assert.deepEqual(await submit(worker, { message: '2pac' }), { echo: 'cap2' });
    const all = numbers(50).map((n) => submit(worker, { message: `${n} m` }));
    assert.deepEqual(
      await Promise.all(all),
      numbers(50).map((n) => ({ echo: [...`${n} m`].reverse().join('') })),
    );
  });

  it('has jobs done by a class of its own', async () => {
    const finished: unknown[] = [];
    const job = uniqueQueue();
    class Doubling extends Que.Model {
      override job = job;
      override driver = driver;
      override process(callback: Que.Callback): void {
        callback(false, this.params * 2);
      }
      override finished(error: unknown): void {
        finished.push(error, this.response);
      }
    }
    const worker = Que.setup(Doubling);
    assert.equal(worker, Doubling);
    assert.equal(await submit(worker, 21), 42);
    assert.deepEqual(finished, [false, 42]);
  });

  it('tells who submits of a worker that fails, and goes on', async () => {
    const worker = Que.define({
      job: uniqueQueue(),
      driver,
      async process(callback) {
        if (this.params === 'throw') throw new Error('thrown');
        callback(this.params === 'error' && 'called back', this.params);
      },
    });
    await assert.rejects(submit(worker, 'throw'), {
      code: 'ERR_MILLRACE_REMOTE',
      remote: { name: 'Error', message: 'thrown' },
    });
    await assert.rejects(submit(worker, 'error'), { remote: { name: 'Error', message: 'called back' } });
    assert.equal(await submit(worker, 'fine'), 'fine');
  });

  it('disconnects, when what is done is done, and connects again', async () => {
    const begun = new EventEmitter();
    const worker = Que.define({
      job: uniqueQueue(),
      driver,
      process(callback) {
        begun.emit('job', () => callback(false, this.params));
      },
    });
    const beginning = once(begun, 'job');
    const asked = submit(worker, 1);
    const [finish] = await beginning;
    const disconnected = disconnect();
    finish();
    assert.equal(await asked, 1);
    await disconnected;
    await assert.rejects(submit(worker, 2), { code: 'ERR_MILLRACE_CLOSED' });
    await connect(broker().url);
    begun.once('job', (finishAgain) => finishAgain());
    assert.equal(await submit(worker, 3), 3);
  });

  it('needs no callbacks, and warns where a failure would go unheard', async () => {
    const worker = echoReverse(driver);
    const warned = once(process, 'warning');
    worker.submit({ message: 1 });
    const [warning] = await warned;
    assert.equal(warning.code, 'MILLRACE_UNHEARD');
    assert.match(warning.message, /split is not a function/);
  });
});

describe('que', () => {
  afterEach(disconnect);

  it('connects to several servers at once, and has jobs done at all of them', async () => {
    const worker = echoReverse('memory');
    await connect('memory:', 'memory:');
    for (const _ of numbers(4)) assert.deepEqual(await submit(worker, { message: 'ab' }), { echo: 'ba' });
  });

  it('takes drivers of four functions', async () => {
    const calls: unknown[] = [];
    const handlers = new Map<string, (params: string, job: Que.QueJob) => void>();
    Que.registerDriver('someDriver', {
      connect: (server, callback) => callback(calls.push(server) ? null : undefined),
      disconnect: (callback) => callback(calls.push('disconnect') ? null : undefined),
      register: (name, handler) => void handlers.set(name, handler),
      submit(name, params) {
        const submitted = new EventEmitter();
        const end = (response: string | undefined): void => {
          if (response !== undefined) submitted.emit('data', Buffer.from(response));
          submitted.emit('end');
        };
        const error = (reason: unknown): boolean => submitted.emit('error', reason);
        setImmediate(() => handlers.get(name)?.(params, { end, error }));
        return submitted;
      },
    });
    await connect('someDriver://localhost:1234/');
    const worker = echoReverse('someDriver');
    assert.deepEqual(await submit(worker, { message: '2pac' }), { echo: 'cap2' });
    await assert.rejects(submit(worker, { message: 1 }), TypeError);
    await disconnect();
    await disconnect();
    assert.deepEqual(calls, ['someDriver://localhost:1234/', 'disconnect']);
  });

  it('tells of a server that refuses', async () => {
    await using secret = await RedisServer.start('--requirepass', 'secret');
    const worker = echoReverse('redis');
    await assert.rejects(connect(secret.url), { code: 'ERR_MILLRACE_REFUSED' });
    await assert.rejects(submit(worker, { message: 'ab' }), { code: 'ERR_MILLRACE_REFUSED' });
  });

  it('refuses what it cannot use', async () => {
    await assert.rejects(connect('no URL'), { code: 'ERR_INVALID_ARG_VALUE' });
    await assert.rejects(connect('unknown://localhost'), { code: 'ERR_INVALID_ARG_VALUE' });
    assert.throws(() => Que.registerDriver('none', { connect() {} } as never), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(() => Que.Model.submit(1), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(() => Que.define({ driver: 'memory' } as never), { code: 'ERR_INVALID_ARG_TYPE' });
  });
});
