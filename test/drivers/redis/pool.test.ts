import assert from 'node:assert/strict';
import type { Redis } from 'ioredis';
import { connectRedis } from '../../../lib/drivers/redis/connection.ts';
import { BlockingClient, BlockingPool } from '../../../lib/drivers/redis/pool.ts';
import { takenOf } from '../../../lib/drivers/redis/taking-wait.ts';
import { uniqueQueue } from '../../support/brokers.ts';
import { TcpProxy } from '../../support/proxy.ts';
import { RedisServer } from '../../support/redis.ts';
import { nextTurn, until } from '../../support/streams.ts';
import { neverUnanswered } from '../contract/stage.ts';

describe('a blocking client', () => {
  let server: RedisServer;
  let redis: Redis;
  before(async () => {
    server = await RedisServer.start('--maxmemory-policy', 'noeviction');
    redis = server.client();
  });
  after(() => server[Symbol.asyncDispose]());

  it('gives what comes behind a move, though the move is refused', async () => {
    const [from, to] = [uniqueQueue(), uniqueQueue()];
    await redis.lpush(from, 'item');
    const client = new BlockingClient(server.client({ lazyConnect: true }));
    await client.open();
    await redis.config('SET', 'maxmemory', '1');
    const move = () => client.moveThen(from, to, 1, (behind) => behind.rpop(from));
    assert.equal(takenOf(await move()), 'item');
    const refused = await move();
    assert.throws(() => takenOf(refused), /^ReplyError: OOM/);
    await redis.config('SET', 'maxmemory', '0');
    assert.equal(takenOf(await move()), null);
    client.close();
  });

  it('is waited for by whoever has it next, where who opened it was cancelled', async () => {
    await using proxy = await TcpProxy.start(server.port);
    const connection = connectRedis(proxy.url, { prefix: '', maxClients: 1 });
    await connection.ready();
    const queue = uniqueQueue();
    let unanswered = 0;
    const receiver = connection.receiver(queue, { side: 'right', onUnanswered: (atMost) => (unanswered += atMost) });
    const held = proxy.hold('\r\nID\r\n');
    const first = receiver.receive(1);
    const letGo = await held;
    receiver.cancel();
    assert.deepEqual(await first, []);
    const second = receiver.receive(1);
    await nextTurn();
    receiver.cancel();
    assert.deepEqual(await second, []);
    const third = receiver.receive(1);
    letGo();
    await redis.lpush(queue, 'item');
    assert.deepEqual((await third).map(String), ['item']);
    assert.equal(unanswered, 0, 'who was cancelled had a pop on its way');
    await receiver.close();
    await connection.close();
    await until(() => proxy.size === 0);
  });

  it('leaves no link open where its connection is closed before it is', async () => {
    await using proxy = await TcpProxy.start(server.port);
    for (const words of ['\r\nhello\r\n', '\r\nID\r\n']) {
      const connection = connectRedis(proxy.url, { prefix: '', maxClients: 1 });
      await connection.ready();
      const receiver = connection.receiver(uniqueQueue(), { side: 'right', onUnanswered: neverUnanswered });
      const held = proxy.hold(words);
      const receiving = receiver.receive(1);
      const letGo = await held;
      await receiver.close();
      assert.deepEqual(await receiving, []);
      await connection.close();
      letGo();
      await until(() => proxy.size === 0);
    }
  });

  it('is there for who asks in the turn in which it was released', async () => {
    const warnings: Error[] = [];
    const warn = (warning: Error): void => void warnings.push(warning);
    process.on('warning', warn);
    const pool = new BlockingPool(() => server.client({ lazyConnect: true }), 1);
    const client = await pool.acquire();
    await client.open();
    pool.release(client);
    assert.equal(await pool.acquire(), client);
    await nextTurn();
    assert.deepEqual(warnings, []);
    process.off('warning', warn);
    pool.destroy(client);
    await pool.close();
  });
});
