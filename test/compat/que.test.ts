import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import * as Que from '../../lib/compat/que.ts';
import { brokers, describeEach, uniqueQueue } from '../support/brokers.ts';
import { GearmanServer } from '../support/gearman.ts';
import { RedisServer } from '../support/redis.ts';
import { numbers } from '../support/streams.ts';
import { connect, disconnect, submit } from './support/que.ts';

type Worker = Que.ModelClass;

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

describeEach(
  'que',
  (broker) => {
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

    it('has the jobs of a name done by the worker that was defined last', async () => {
      const job = uniqueQueue();
      const [first, second] = [1, 2].map((n) => Que.define({ job, driver, process: (callback) => callback(false, n) }));
      const answers = numbers(10).flatMap(() => [submit(first as Worker, 0), submit(second as Worker, 0)]);
      assert.deepEqual(new Set(await Promise.all(answers)), new Set([2]));
    });
  },
  { ...brokers, gearman: () => GearmanServer.start() },
);

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

  it('takes the classes of CoffeeScript 1', async () => {
    const job = uniqueQueue();
    // What it makes of the example of the README, and so all its `any`.
    // biome-ignore-start lint/suspicious/noExplicitAny: see above
    const extend = (child: any, parent: any): void => {
      for (const key in parent) if (Object.hasOwn(parent, key)) child[key] = parent[key];
      function ctor(this: any): void {
        this.constructor = child;
      }
      ctor.prototype = parent.prototype;
      child.prototype = new (ctor as any)();
      child.__super__ = parent.prototype;
    };
    function EchoReverseWorker(this: any, ...args: any[]): any {
      return (EchoReverseWorker as any).__super__.constructor.apply(this, args);
    }
    extend(EchoReverseWorker, Que.Model);
    EchoReverseWorker.prototype.job = job;
    EchoReverseWorker.prototype.driver = 'memory';
    EchoReverseWorker.prototype.process = function (callback: Que.Callback): unknown {
      const result = this.params.message.split('').reverse().join('');
      return callback(false, { echo: result });
    };
    // biome-ignore-end lint/suspicious/noExplicitAny: see above
    await connect('memory:');
    const worker = Que.setup(EchoReverseWorker as unknown as Worker);
    assert.deepEqual(await submit(worker, { message: '2pac' }), { echo: 'cap2' });
    const bare = Que.setup(class extends (EchoReverseWorker as unknown as Worker) {});
    assert.deepEqual(await submit(bare, { message: 'ab' }), { echo: 'ba' });
  });

  it('fails what is on its way when a connection breaks, and goes on when it is back', async () => {
    await using server = await GearmanServer.start();
    await connect(server.url);
    const begun = new EventEmitter();
    const worker = Que.define({
      job: uniqueQueue(),
      driver: 'gearman',
      process(callback) {
        const finish = (): void => callback(false, this.params);
        if (this.params === 'held') begun.emit('job', finish);
        else finish();
      },
    });
    const beginning = once(begun, 'job');
    const failed = assert.rejects(submit(worker, 'held'), { code: 'ERR_MILLRACE_CONNECTION', retryable: true });
    const [finish] = await beginning;
    await server.kill();
    await failed;
    finish();
    await server.start();
    assert.equal(await submit(worker, 'next'), 'next');
  });

  it('calls back who disconnects at once, and who was still connecting', async () => {
    await using server = await GearmanServer.prepare();
    const connecting = assert.rejects(connect(server.url), { code: 'ERR_MILLRACE_CLOSED' });
    await disconnect();
    await connecting;
  });

  it('fails a worker that has nothing to do its jobs with', async () => {
    await connect('memory:');
    const job = uniqueQueue();
    const worker = Que.define({ job, driver: 'memory' } as never);
    await assert.rejects(submit(worker, 1), {
      remote: { name: 'TypeError', message: `The worker of the job "${job}" has no process()` },
    });
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
