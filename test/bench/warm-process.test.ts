import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { RedisServer } from '../support/redis.ts';
import type { Move } from './case.ts';
import { RAW as FLOW } from './flows.ts';
import type { Figures } from './meter.ts';
import { RAW as POP } from './pulls.ts';
import { RAW as PUSH } from './pushes.ts';
import { WarmProcess } from './warm-process.ts';
import { WarmProcesses } from './warm-processes.ts';

/** In milliseconds: nobody pushes what is waited for. */
const SHORT = 100;

describe('a process of the bench', () => {
  let server: RedisServer;

  before(async () => {
    server = await RedisServer.start();
  });

  after(() => server[Symbol.asyncDispose]());

  const startOne = (name: string, timeLimit?: number) =>
    WarmProcess.start<Move, Figures>('worker.ts', [name, server.url], timeLimit);

  it('does one task after the other', async () => {
    const redis = server.client();
    await using pushing = await startOne(PUSH);
    const stored: { jobs: number; bytes: number }[] = [];
    for (const bytes of [10, 1000]) {
      await redis.del('tasks');
      await pushing.ask({ queue: 'tasks', count: 7, bytes });
      stored.push({ jobs: await redis.llen('tasks'), bytes: (await redis.lindex('tasks', -1))?.length ?? 0 });
    }
    assert.deepEqual(
      stored.map(({ jobs }) => jobs),
      [7, 7],
    );
    assert.equal(stored[0]?.bytes, '{"id":0}'.length);
    assert.ok(Math.abs((stored[1]?.bytes ?? 0) - 1000) < 100, `a job of ${stored[1]?.bytes} bytes`);
  });

  it('is ended when a task takes too long, with an error that names its case', async () => {
    await using popping = await startOne(POP, SHORT);
    await assert.rejects(popping.ask({ queue: 'empty', count: 1 }), /"raw BLMPOP 256" has taken longer than 0.1 s/);
    await assert.rejects(popping.ask({ queue: 'empty', count: 1 }), /"raw BLMPOP 256" has ended with SIGKILL/);
  });

  it('that has ended is named', async () => {
    await using popping = await startOne(POP);
    const popped = popping.ask({ queue: 'empty', count: 1 });
    process.kill(popping.pid as number, 'SIGKILL');
    await assert.rejects(popped, /"raw BLMPOP 256" has ended with SIGKILL/);
  });

  it('ends with who has started it, however that ends', async () => {
    const file = fileURLToPath(new URL('flow-worker.ts', import.meta.url));
    const stdio = ['ignore', 'ignore', 'pipe', 'ipc'] as const;
    const starting = fork(file, [FLOW, server.url], { execArgv: ['--import', 'tsx'], stdio: [...stdio] });
    await once(starting, 'message');
    // That which it has started has the same output, which closes with the last of the two.
    const closed = once(starting, 'close');
    starting.stderr?.resume();
    starting.kill('SIGKILL');
    assert.deepEqual(await closed, [null, 'SIGKILL']);
  });

  it('leaves no other behind when it can not be started', async () => {
    const started: WarmProcess<Move, Figures>[] = [];
    const startSome = async (name: string): Promise<WarmProcess<Move, Figures>> => {
      if (name !== PUSH) throw new Error(`no ${name}`);
      const one = await startOne(name);
      started.push(one);
      return one;
    };
    await assert.rejects(WarmProcesses.start([PUSH, POP], startSome), /^Error: no raw BLMPOP 256$/);
    assert.equal(started.length, 1);
    await assert.rejects(started[0]?.ask({ queue: 'none', count: 1 }) as Promise<Figures>, /has ended with SIGKILL/);
  });
});
