import assert from 'node:assert/strict';
import type { Redis } from 'ioredis';
import type { DriverConnection, SenderOptions } from '../../../lib/driver.ts';
import { connectRedis } from '../../../lib/drivers/redis/connection.ts';
import { QueueKeys } from '../../../lib/drivers/redis/keys.ts';
import { scripts } from '../../../lib/drivers/redis/scripts/index.ts';
import { uniqueQueue } from '../../support/brokers.ts';
import { TcpProxy } from '../../support/proxy.ts';
import { RedisServer } from '../../support/redis.ts';
import { numbers, until } from '../../support/streams.ts';

/** So many are pushed in a transaction; and so large is one that is pushed so alone. */
const MANY = 48;
const LARGE = 8192;

function many(from = 0): string[] {
  return numbers(MANY, from).map(String);
}

describe('many items, or large ones, pushed to redis', () => {
  let server: RedisServer;
  let redis: Redis;
  let keys: QueueKeys;
  let opened: DriverConnection[];

  before(async () => {
    server = await RedisServer.start();
    redis = server.client();
  });
  after(() => server[Symbol.asyncDispose]());

  beforeEach(() => {
    keys = new QueueKeys(uniqueQueue());
    opened = [];
  });
  afterEach(async () => {
    await redis.config('SET', 'maxmemory', '0');
    await Promise.all(opened.map((connection) => connection.close()));
  });

  /** A sender whose queue has been marked, by its first item, so that for a second nothing else keeps it from a transaction. */
  async function senderOf(options: Partial<SenderOptions> = {}, url = server.url) {
    const connection = connectRedis(url, { prefix: '', maxClients: 9 });
    opened.push(connection);
    const sender = connection.sender(keys.queue, { side: 'left', ...options });
    await sender.send(['first']);
    await redis.config('RESETSTAT');
    return sender;
  }

  async function stored(): Promise<string[]> {
    return (await redis.lrange(keys.queue, 0, -1)).reverse();
  }

  /** How often a command was carried out since the sender was made, and how often it was refused. */
  async function callsOf(command: string): Promise<{ calls: number; refused: number }> {
    const line = new RegExp(`^cmdstat_${command}:calls=(\\d+).*rejected_calls=(\\d+)`, 'm');
    const [, calls = 0, refused = 0] = line.exec(await redis.info('commandstats')) ?? [];
    return { calls: Number(calls), refused: Number(refused) };
  }

  async function transactions(): Promise<number> {
    return (await callsOf('exec')).calls;
  }

  /** What a sender says, said by hand. Gives the number of the last item that is stored. */
  async function transact(command: string, items: string[], first: number): Promise<unknown> {
    const { lua, numberOfKeys } = scripts.millraceConfirm;
    const replies = await redis
      .multi()
      .call(command, keys.queue, ...items)
      .eval(lua, numberOfKeys, keys.queue, keys.producer('one'), keys.marks, command, first, 0, items.length, 60)
      .exec();
    return replies?.[1]?.[1];
  }

  for (const side of ['left', 'right'] as const) {
    it(`are stored in order at the ${side}, without going through a script`, async () => {
      const sender = await senderOf({ side });
      const large = 'x'.repeat(LARGE);
      await Promise.all([sender.send(many()), sender.send([large]), sender.send(many(MANY))]);
      const all = ['first', ...many(), large, ...many(MANY)];
      assert.deepEqual(await stored(), side === 'left' ? all : all.reverse());
      assert.equal(await transactions(), 3);
      assert.equal((await callsOf('evalsha')).calls, 0);
      assert.equal(await redis.hget(keys.marks, 'listed'), String(2 * MANY + 2));
      assert.ok((await redis.ttl(keys.marks)) > 0);
    });
  }

  it('go through a script where they are delayed, or may be too many', async () => {
    const delayed = await senderOf();
    await delayed.send(many(), { delay: 60_000 });
    const limited = await senderOf({ maxLength: 1000 });
    await limited.send(many());
    assert.equal(await transactions(), 0);
    assert.equal(await redis.llen(keys.queue), 2 + MANY);
    assert.equal(await redis.zcard(keys.delayed), MANY);
  });

  it('are stored once though the answer is lost', async () => {
    await using proxy = await TcpProxy.start(server.port);
    const sender = await senderOf({}, proxy.url);
    const cut = proxy.cut('server');
    await Promise.all([sender.send(many()), sender.send(many(MANY)), cut]);
    assert.deepEqual(await stored(), ['first', ...many(), ...many(MANY)]);
    assert.ok((await transactions()) > 0);
  });

  it('are stored once when a named source is written again, and go on behind what was there', async () => {
    const before = await senderOf({ producer: 'import' });
    await before.send(many());
    await before.close();
    const again = await senderOf({ producer: 'import' });
    await Promise.all([again.send(many()), again.send(many(MANY))]);
    assert.deepEqual(await stored(), ['first', ...many(), ...many(MANY)]);
  });

  it('wait in order while redis is full', async () => {
    const sender = await senderOf();
    await redis.config('SET', 'maxmemory', '1');
    const sending = Promise.all([sender.send(many()), sender.send(many(MANY))]);
    await until(async () => (await callsOf('lpush')).refused > 0);
    assert.deepEqual(await stored(), ['first']);
    await redis.config('SET', 'maxmemory', '0');
    await sending;
    assert.deepEqual(await stored(), ['first', ...many(), ...many(MANY)]);
  });

  it('are refused where the queue is no list, and not taken for stored', async () => {
    const sender = await senderOf();
    await redis.set(keys.queue, 'something else');
    await assert.rejects(sender.send(many()), { code: 'ERR_MILLRACE_REFUSED', message: /WRONGTYPE/ });
    assert.equal(await transactions(), 1);
    const [record = ''] = await redis.keys(keys.producer('*'));
    assert.equal(await redis.get(record), '1');
  });

  for (const command of ['LPUSH', 'RPUSH']) {
    it(`are taken back where they come late or too early, by ${command}`, async () => {
      assert.equal(await transact(command, ['a', 'b'], 1), 2);
      const before = await stored();
      assert.equal(await transact(command, ['a', 'b'], 1), 2, 'stored before');
      assert.equal(await transact(command, ['b', 'c'], 2), 2, 'stored in part');
      assert.equal(await transact(command, ['d', 'e', 'f'], 4), 2, 'behind a gap');
      assert.deepEqual(await stored(), before);
      assert.equal(await redis.hget(keys.marks, 'listed'), '2');
    });
  }

  it('are not seen by who waits where they are taken back', async () => {
    const waiting = server.client().blmpop(0, 1, keys.queue, 'RIGHT');
    await until(async () => (await redis.info('clients')).includes('blocked_clients:1\r'));
    assert.equal(await transact('LPUSH', ['b', 'c'], 2), 0);
    assert.equal(await transact('LPUSH', ['a'], 1), 1);
    assert.deepEqual(await waiting, [keys.queue, ['a']]);
    assert.deepEqual(await stored(), []);
  });

  for (const right of ['multi', 'exec', '@transaction']) {
    it(`go through a script for a user without ${right}`, async () => {
      await redis.call('ACL', 'SETUSER', 'limited', 'reset', 'on', '>pw', '~*', '&*', '+@all', `-${right}`);
      const sender = await senderOf({}, server.url.replace('//', '//limited:pw@'));
      await sender.send(many());
      assert.deepEqual(await stored(), ['first', ...many()]);
      assert.deepEqual(await callsOf('exec'), { calls: 0, refused: 0 });
      assert.deepEqual(await callsOf('multi'), { calls: 0, refused: 0 });
    });
  }

  it('need no right to look at the server', async () => {
    await redis.call('ACL', 'SETUSER', 'limited', 'reset', 'on', '>pw', '~*', '&*', '+@all', '-info');
    const sender = await senderOf({}, server.url.replace('//', '//limited:pw@'));
    await sender.send(many());
    assert.equal(await transactions(), 1);
  });
});
