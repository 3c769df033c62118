import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import {
  Client,
  type Connection,
  connect,
  type Delivery,
  DeliveryStream,
  type LostEvent,
  PullStream,
  PushStream,
  serve,
} from '../../../lib/index.ts';
import { uniqueQueue } from '../../support/brokers.ts';
import { GearmanServer } from '../../support/gearman.ts';
import { numbers, push, take, until } from '../../support/streams.ts';

describe('Gearman that goes away', () => {
  let server: GearmanServer;
  let connection: Connection;
  let queue: string;

  beforeEach(() => {
    queue = uniqueQueue();
  });
  afterEach(async () => {
    await connection.close();
    await server[Symbol.asyncDispose]();
  });

  async function start(starting: Promise<GearmanServer>): Promise<void> {
    server = await starting;
    connection = connect(server.url);
  }

  async function restart(): Promise<void> {
    await server.kill();
    await server.start();
  }

  it('loses none of a thousand background jobs to kill -9 where it keeps them in a database', async () => {
    await start(GearmanServer.startPersistent());
    await push(connection, queue, numbers(1000));
    const before = await take(connection, queue, 100);
    await restart();
    const behind = await take(connection, queue, 900);
    const all = [...before, ...behind].map(Number).sort((a, b) => a - b);
    assert.deepEqual(all, numbers(1000));
    assert.equal((await server.status(queue)).total, 0);
  });

  it('is waited for, before it is there and while it is away', async () => {
    await start(GearmanServer.prepare());
    const stream = new PushStream<number>(queue, { connection });
    const early = stream.send(1);
    const pulled: unknown[] = [];
    const pull = new PullStream(queue, { connection });
    pull.on('data', (value) => pulled.push(value));
    await server.start();
    await early;
    await until(() => pulled.length === 1);
    await server.kill();
    const late = stream.send(2);
    await server.start();
    await late;
    await until(() => pulled.length === 2);
    assert.deepEqual(pulled, [1, 2]);
  });

  it('stores each write that is finished while it is killed again and again', async () => {
    await start(GearmanServer.startPersistent());
    const stream = new PushStream<number>(queue, { connection, highWaterMark: 16 });
    const writing = (async () => {
      for (const n of numbers(1500)) if (!stream.write(n)) await once(stream, 'drain');
      await stream.close();
    })();
    for (let round = 1; round <= 3; round += 1) {
      await until(async () => (await server.status(queue)).total >= 200 * round);
      await restart();
    }
    await writing;
    const stored = await take(connection, queue, (await server.status(queue)).total);
    assert.deepEqual(
      [...new Set(stored)].map(Number).sort((a, b) => a - b),
      numbers(1500),
    );
  });

  it('takes what is held with it, which a database gives back, and workers register again', async () => {
    await start(GearmanServer.startPersistent());
    await push(connection, queue, ['a', 'b']);
    const stream = new DeliveryStream<string>(queue, { connection });
    const held: Delivery<string>[] = [];
    const lost: LostEvent[] = [];
    stream.on('data', (delivery: Delivery<string>) => held.push(delivery));
    stream.on('lost', (event: LostEvent) => lost.push(event));
    await until(() => held.length === 2);
    await restart();
    await until(() => held.length === 4);
    assert.deepEqual(lost.map(({ value }) => value).sort(), ['a', 'b']);
    assert.equal(held[0]?.signal.reason.code, 'ERR_MILLRACE_LEASE_LOST');
    assert.equal(await held[0]?.ack(), false);
    assert.deepEqual(await Promise.all(held.slice(2).map((one) => one.ack())), [true, true]);
    assert.equal((await server.status(queue)).total, 0);
  });

  it('has requests that are at work, or queued, fail to be asked again; and the next ones answered', async () => {
    await start(GearmanServer.start());
    let started: () => void = () => {};
    const working = new Promise<void>((resolve) => (started = resolve));
    const handlers = {
      hang: (_value: unknown, { signal }: { signal: AbortSignal }) => {
        started();
        return once(signal, 'abort');
      },
      echo: (value: unknown) => value,
    };
    const service = serve(queue, handlers, { connection, concurrency: 5 });
    const client = new Client(queue, { connection });
    const asked = [client.request('hang', 1), client.request('nobody', 2)];
    const failed = Promise.all(asked.map((one) => one.catch((error) => error)));
    await working;
    await until(async () => (await server.status(`${queue}/nobody`)).total === 1);
    await restart();
    for (const error of await failed) {
      assert.equal(error.code, 'ERR_MILLRACE_CONNECTION');
      assert.equal(error.retryable, true);
    }
    assert.equal(await client.request('echo', 3), 3);
    await client.close();
    await service.close();
  });

  it('keeps a request that is made while it is away', async () => {
    await start(GearmanServer.prepare());
    const service = serve(queue, { echo: (value: unknown) => value }, { connection });
    const client = new Client(queue, { connection });
    const asked = client.request('echo', 1);
    await server.start();
    assert.equal(await asked, 1);
    await client.close();
    await service.close();
  });

  it('is closed in time when it answers nothing', async () => {
    await start(GearmanServer.start());
    const sockets = new Set<Socket>();
    const mute = createServer((socket) => void sockets.add(socket.on('error', () => {}))).listen(0, '127.0.0.1');
    await once(mute, 'listening');
    const silent = connect(`gearman://127.0.0.1:${(mute.address() as { port: number }).port}`);
    const stream = new DeliveryStream(queue, { connection: silent });
    const source = new PushStream(queue, { connection: silent });
    stream.on('data', () => {});
    source.on('error', () => {});
    const failed = assert.rejects(source.send(1), { code: 'ERR_MILLRACE_CLOSED' });
    await until(() => sockets.size >= 2);
    await assert.rejects(silent.close({ timeout: 200 }), { code: 'ERR_MILLRACE_TIMEOUT' });
    await failed;
    assert.equal(silent.stats().clients, 0);
    for (const socket of sockets) socket.destroy();
    mute.close();
  });

  it('may be something else: noise closes the connection, and it is opened again', async () => {
    await start(GearmanServer.start());
    const sockets = new Set<Socket>();
    let noise = 0;
    // Says nonsense to the first few, then is the server.
    const proxy = createServer((socket) => {
      socket.on('error', () => {});
      sockets.add(socket);
      noise += 1;
      if (noise <= 6) {
        socket.write(noise % 2 ? 'HTTP/1.1 400 Bad Request\r\n\r\n' : '\0RES\0\0\0\x08\xff\xff\xff\xff');
        return;
      }
      const back = new (socket.constructor as typeof Socket)().connect(server.port, '127.0.0.1');
      sockets.add(back);
      back.on('error', () => {});
      socket.pipe(back).pipe(socket);
    }).listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    const { port } = proxy.address() as { port: number };
    const through = connect(`gearman://127.0.0.1:${port}`);
    await push(through, queue, [1, 2]);
    assert.deepEqual(await take(through, queue, 2), [1, 2]);
    assert.ok(noise > 6);
    await through.close();
    for (const socket of sockets) socket.destroy();
    proxy.close();
  });
});
