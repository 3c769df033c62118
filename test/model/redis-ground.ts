import assert from 'node:assert/strict';
import type { Redis } from 'ioredis';
import type { Consumer, DriverConnection } from '../../lib/driver.ts';
import { connectRedis } from '../../lib/drivers/redis/connection.ts';
import { QueueKeys } from '../../lib/drivers/redis/keys.ts';
import { clock, scripts } from '../../lib/drivers/redis/scripts/index.ts';
import { TcpProxy } from '../support/proxy.ts';
import type { RedisServer } from '../support/redis.ts';
import { type Ground, NAMES, type Place } from './ground.ts';
import { LEASE, MAX_ATTEMPTS, STEP } from './model.ts';

/** How often something is asked that is on its way. */
const PATIENCE = 20_000;

/**
 * The driver before a real server, with a proxy before each place but the watch's. What time brings by itself, a sign of life and a
 * look at what is due, is done here, with the scripts that the driver does it with: its own timers never get to it in a history, in which
 * hardly a moment passes.
 */
export class RedisGround implements Ground {
  readonly name = 'redis';
  readonly #client: Redis;
  readonly #url: string;
  readonly #proxies: ReadonlyMap<Place, TcpProxy>;

  private constructor(server: RedisServer, proxies: ReadonlyMap<Place, TcpProxy>) {
    this.#url = server.url;
    this.#client = server.client({ scripts });
    this.#proxies = proxies;
  }

  static async open(server: RedisServer): Promise<RedisGround> {
    const places = [...NAMES, 'pusher'] as const;
    const proxies = places.map(async (place) => [place, await TcpProxy.start(server.port)] as const);
    return new RedisGround(server, new Map<Place, TcpProxy>(await Promise.all(proxies)));
  }

  async connect(place: Place): Promise<DriverConnection> {
    const url = this.#proxies.get(place)?.url ?? this.#url;
    const connection = connectRedis(url, { prefix: '', maxClients: Number.MAX_SAFE_INTEGER });
    await connection.ready();
    return connection;
  }

  crash(connection: DriverConnection): Promise<void> {
    return connection.close();
  }

  stall(): void {}

  wake(consumer: Consumer): Consumer {
    return consumer;
  }

  async step(queues: readonly string[], alive: readonly string[]): Promise<void> {
    clock.offset += STEP;
    await Promise.all(queues.map((queue) => this.#stepOf(new QueueKeys(queue), alive)));
  }

  async loseAnswer(place: Place): Promise<void> {
    await this.#proxies.get(place)?.cut('server');
  }

  async waits(signal?: AbortSignal): Promise<void> {
    await this.#comesTrue(
      async () => signal?.aborted || (await this.#client.info('clients')).includes('blocked_clients:1\r'),
    );
  }

  /**
   * Totals stay, and the numbers of a producer that has a name. So do those of one that has not, whose process has died before it could say
   * that it sends no more, or of which something may be carried out late. None of this stays for good.
   */
  async leftovers(queue: string, hadTrouble: boolean): Promise<string[]> {
    const { base, marks, producer } = { ...new QueueKeys(queue), producer: `{${queue}}:producer:` };
    const left: string[] = [];
    for (const key of await this.#client.keys('*')) {
      if (key !== queue && !key.startsWith(base)) continue;
      const isNumbers = key.startsWith(producer) && (hadTrouble || key === `${producer}import`);
      const expires = (await this.#client.pttl(key)) > 0;
      if (!expires || (key !== marks && !isNumbers)) left.push(key);
    }
    return left;
  }

  async clear(): Promise<void> {
    await this.#client.flushdb();
  }

  async close(): Promise<void> {
    clock.offset = 0;
    this.#client.disconnect();
    for (const proxy of this.#proxies.values()) await proxy[Symbol.asyncDispose]();
  }

  /** Asks until something is so that is on its way. */
  async #comesTrue(isSo: () => Promise<boolean | undefined>): Promise<void> {
    for (let asked = 0; asked < PATIENCE; asked += 1) if (await isSo()) return;
    assert.fail('what was on its way to Redis did not come');
  }

  async #stepOf({ consumers, base, wake, delayed, again }: QueueKeys, alive: readonly string[]): Promise<void> {
    const records = await this.#client.hgetall(consumers);
    const beats = alive.map(async (name) => {
      const [incarnation] = records[name]?.split(' ') ?? [];
      if (!incarnation) return;
      // One sees to those whose lease has ended: in that the others differ by when they connected.
      const who = [name, incarnation, LEASE, MAX_ATTEMPTS, name === 'watch' ? '1' : '0'];
      await this.#client.millraceBeat(consumers, clock.offset, base, wake, ...who);
    });
    await Promise.all([...beats, this.#client.millraceDue(delayed, again, clock.offset, wake)]);
  }
}
