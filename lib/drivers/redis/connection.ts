import type {
  ConnectionStats,
  Consumer,
  ConsumerOptions,
  DeadLetterRecord,
  DriverConnection,
  DriverOptions,
  QueueInfo,
  Receiver,
  ReceiverOptions,
  Sender,
  SenderOptions,
} from '../../driver.ts';
import { RedisClients } from './clients.ts';
import { RedisConsumer } from './consumer.ts';
import { Inspection } from './inspection.ts';
import { QueueKeys } from './keys.ts';
import { RedisReceiver } from './receiver.ts';
import { RedisSender } from './sender.ts';

/** A connection to the Redis at a URL, or where an ioredis client of the user's goes. */
export function connectRedis(target: string | object, options: DriverOptions): DriverConnection {
  return new RedisConnection(new RedisClients(target, options.maxClients), options.prefix);
}

class RedisConnection implements DriverConnection {
  readonly #clients: RedisClients;
  readonly #prefix: string;
  readonly #inspection: Inspection;

  constructor(clients: RedisClients, prefix: string) {
    this.#clients = clients;
    this.#prefix = prefix;
    this.#inspection = new Inspection(clients, prefix);
  }

  ready(signal?: AbortSignal): Promise<void> {
    return this.#clients.ready(signal);
  }

  sender(queue: string, options: SenderOptions): Sender {
    return new RedisSender(this.#clients, this.#keysOf(queue), options);
  }

  receiver(queue: string, options: ReceiverOptions): Receiver {
    return new RedisReceiver(this.#clients, this.#keysOf(queue), options);
  }

  consumer(queue: string, options: ConsumerOptions): Consumer {
    return new RedisConsumer(this, this.#clients, this.#keysOf(queue), options);
  }

  inspect(queue: string): Promise<QueueInfo> {
    return this.#inspection.inspect(queue);
  }

  queues(): AsyncIterable<string> {
    return this.#inspection.queues();
  }

  deadLetters(queue: string, after: string | undefined, max: number): Promise<readonly DeadLetterRecord[]> {
    return this.#inspection.deadLetters(queue, after, max);
  }

  putBack(queue: string, id: string): Promise<boolean> {
    return this.#inspection.putBack(queue, id);
  }

  drop(queue: string, id: string): Promise<boolean> {
    return this.#inspection.drop(queue, id);
  }

  stats(): ConnectionStats {
    return this.#clients.stats();
  }

  close(): Promise<void> {
    this.#inspection.close();
    return this.#clients.close();
  }

  #keysOf(queue: string): QueueKeys {
    return new QueueKeys(this.#prefix + queue);
  }
}
