import assert from 'node:assert/strict';
import * as Que from '../../lib/compat/que.ts';
import { Client, connect as connectTo } from '../../lib/index.ts';
import { Child } from '../chaos/child.ts';
import { uniqueQueue } from '../support/brokers.ts';
import { GearmanServer } from '../support/gearman.ts';
import { numbers, until } from '../support/streams.ts';
import { connect, disconnect, submit } from './support/que.ts';

describe('que, beside the original', () => {
  let server: GearmanServer;
  let job: string;

  before(async () => {
    server = await GearmanServer.start();
  });
  after(() => server[Symbol.asyncDispose]());
  beforeEach(() => {
    job = uniqueQueue();
  });
  afterEach(disconnect);

  /** The original, connected. */
  async function original(works: boolean): Promise<Child> {
    const child = new Child('../compat/support/que-original.ts', server.url, { job, works });
    await child.hear('connected');
    return child;
  }

  /** What the original is called back with. */
  async function submitAt(child: Child, params: unknown): Promise<unknown> {
    child.tell({ params });
    return await child.hear('response');
  }

  it('does its jobs, and tells it of a failure', async () => {
    await connect(server.url);
    const values = [{ a: [1, null] }, 'text', 42, false, null, 'ünï', ''];
    Que.define({
      job,
      driver: 'gearman',
      process(callback) {
        callback(this.params === 'fail' && 'failed', { value: this.params });
      },
    });
    await using theirs = await original(false);
    for (const value of values) {
      assert.deepEqual(await submitAt(theirs, value), { error: false, response: { value } });
    }
    assert.deepEqual(await submitAt(theirs, 'fail'), { error: 'Job failed' });
    // What is undefined is said by nothing.
    assert.deepEqual(await submitAt(theirs, undefined), { error: false, response: {} });
    await theirs.stop();
  });

  it('has jobs done by it', async () => {
    await using theirs = await original(true);
    await using connection = connectTo(server.url);
    const client = new Client(job, { connection });
    assert.deepEqual(await client.request('default', { message: '2pac' }), { echo: 'cap2', by: 'the original' });
    // It says no errors.
    assert.equal(await client.request('default', { message: 'fail' }), undefined);
    await theirs.stop();
  });

  it('shares jobs with it', async () => {
    await connect(server.url);
    let isBegun = false;
    let heard = (): void => {};
    const done = new Promise<void>((resolve) => {
      heard = resolve;
    });
    // Ours is at its first job until the original has done another; meanwhile it takes but a few ahead.
    const worker = Que.define({
      job,
      driver: 'gearman',
      process(callback) {
        isBegun = true;
        done.then(() => callback(false, { by: 'us' }));
      },
    });
    const answer = async (message: string): Promise<string> => {
      const { by } = (await submit(worker, { message })) as { by: string };
      if (by !== 'us') heard();
      return by;
    };
    const first = answer('first');
    await until(() => isBegun);
    await using theirs = await original(true);
    const others = await Promise.all(numbers(60).map((n) => answer(`${n}`)));
    assert.equal(others.includes('the original'), true);
    assert.equal(await first, 'us');
    await theirs.stop();
  });
});
