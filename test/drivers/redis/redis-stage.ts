import type { Redis } from 'ioredis';
import type { Consumer, ConsumerOptions, DriverConnection } from '../../../lib/driver.ts';
import { connectRedis } from '../../../lib/drivers/redis/connection.ts';
import { QueueKeys } from '../../../lib/drivers/redis/keys.ts';
import { scripts } from '../../../lib/drivers/redis/scripts/index.ts';
import { uniqueQueue } from '../../support/brokers.ts';
import { RedisServer } from '../../support/redis.ts';
import { until } from '../../support/streams.ts';
import { neverLost } from '../contract/stage.ts';

/** Has each test of a `describe` begin on a stage of its own, before all that the `describe` does itself; the server is one for all. */
export function onRedis(begin: (stage: RedisStage) => void | Promise<void>): void {
  let server: RedisServer;
  let redis: Redis;
  let stage: RedisStage;
  before(async () => {
    server = await RedisServer.start();
    redis = server.client({ scripts });
  });
  after(() => server[Symbol.asyncDispose]());
  beforeEach(async () => {
    stage = new RedisStage(server, redis);
    await stage.connection.ready();
    await begin(stage);
  });
  afterEach(() => stage.close());
}

/** A queue in Redis, and a connection to it: what a test does there by hand, and by the driver. */
export class RedisStage {
  readonly server: RedisServer;
  /** The test's own client, which knows the scripts. */
  readonly redis: Redis;
  readonly keys = new QueueKeys(uniqueQueue());
  readonly connection: DriverConnection;
  readonly #connections: DriverConnection[] = [];
  readonly #consumers: Consumer[] = [];

  constructor(server: RedisServer, redis: Redis) {
    this.server = server;
    this.redis = redis;
    this.connection = this.#open(server.url);
  }

  /** Another connection, which is closed with the stage. */
  async connect(url = this.server.url): Promise<DriverConnection> {
    const connection = this.#open(url);
    await connection.ready();
    return connection;
  }

  /** A consumer of the queue, which is closed with the stage, unless it was before. */
  consumer(options: Partial<ConsumerOptions> = {}, from = this.connection): Consumer {
    const defaults = { leaseTimeout: 30_000, maxAttempts: 5, onLost: neverLost };
    const consumer = from.consumer(this.keys.queue, { ...defaults, ...options });
    this.#consumers.push(consumer);
    return consumer;
  }

  /** The incarnation of a consumer, once it has begun. */
  async incarnation(name: string): Promise<string> {
    let record: string | null = null;
    await until(async () => {
      record = await this.redis.hget(this.keys.consumers, name);
      return record !== null;
    });
    return String(record).split(' ', 1).join();
  }

  /** Resolves when somebody, and nobody else, waits with a client that blocks. */
  waiting(): Promise<void> {
    return until(async () => (await this.redis.info('clients')).includes('blocked_clients:1\r'));
  }

  async close(): Promise<void> {
    await Promise.all(this.#consumers.map((consumer) => consumer.close()));
    for (const connection of this.#connections) await connection.close();
  }

  #open(url: string): DriverConnection {
    const connection = connectRedis(url, { prefix: '', maxClients: 9 });
    this.#connections.push(connection);
    return connection;
  }
}
