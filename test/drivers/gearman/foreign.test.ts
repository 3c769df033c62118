import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectSocket, type Socket } from 'node:net';
import { argumentsIn, type Packet, PacketReader, packet, Type } from '../../../lib/drivers/gearman/packets.ts';
import { Client, type Connection, connect } from '../../../lib/index.ts';
import { uniqueQueue } from '../../support/brokers.ts';
import { GearmanServer } from '../../support/gearman.ts';

describe("a worker of Gearman's that is none of ours", () => {
  let server: GearmanServer;
  let connection: Connection;
  let client: Client;
  let queue: string;
  let worker: Socket;

  before(async () => {
    server = await GearmanServer.start();
  });
  after(() => server[Symbol.asyncDispose]());
  beforeEach(async () => {
    queue = uniqueQueue();
    connection = connect(server.url);
    client = new Client(queue, { connection });
    worker = connectSocket(server.port, '127.0.0.1');
    await once(worker, 'connect');
  });
  afterEach(async () => {
    worker.destroy();
    await client.close();
    await connection.close();
  });

  /** Answers each job of a method with what it is told to say. */
  function answer(method: string, say: (handle: string) => Buffer[]): void {
    const hear = ({ type, body }: Packet): void => {
      if (type === Type.NO_JOB) worker.write(packet(Type.PRE_SLEEP));
      if (type === Type.NOOP) worker.write(packet(Type.GRAB_JOB));
      if (type !== Type.JOB_ASSIGN) return;
      const [handle = ''] = argumentsIn(body, 1).head;
      worker.write(Buffer.concat([...say(handle), packet(Type.GRAB_JOB)]));
    };
    const reader = new PacketReader();
    worker.on('data', (bytes) => reader.read(bytes).forEach(hear));
    worker.write(Buffer.concat([packet(Type.CAN_DO, `${queue}/${method}`), packet(Type.GRAB_JOB)]));
  }

  it('fails a request by an exception', async () => {
    answer('fail', (handle) => [packet(Type.WORK_EXCEPTION, handle, 'it is broken')]);
    await assert.rejects(client.request('fail', 1), {
      code: 'ERR_MILLRACE_REMOTE',
      remote: { name: 'Error', message: 'it is broken' },
    });
  });

  it('fails a request by a failure without a word', async () => {
    answer('fail', (handle) => [packet(Type.WORK_FAIL, handle)]);
    await assert.rejects(client.request('fail', 1), { code: 'ERR_MILLRACE_REMOTE', message: /no reason/ });
  });

  it('says how far it is; what it says else of that is left out', async () => {
    answer('work', (handle) => [
      packet(Type.WORK_STATUS, handle, '1', '3'),
      packet(Type.WORK_STATUS, handle, 'half', 'all'),
      packet(Type.WORK_STATUS, handle, '3', '3'),
      packet(Type.WORK_COMPLETE, handle, '"done"'),
    ]);
    const heard: unknown[] = [];
    const onProgress = (...told: unknown[]): void => void heard.push(told);
    assert.equal(await client.request('work', 1, { onProgress }), 'done');
    assert.deepEqual(heard, [
      [1, 3],
      [3, 3],
    ]);
  });

  it('answers in parts by data', async () => {
    answer('count', (handle) => [
      packet(Type.WORK_DATA, handle, '1'),
      packet(Type.WORK_DATA, handle, '{"n":2}'),
      packet(Type.WORK_COMPLETE, handle, ''),
    ]);
    const parts: unknown[] = [];
    for await (const part of client.requestStream('count', 1)) parts.push(part);
    assert.deepEqual(parts, [1, { n: 2 }]);
  });
});
