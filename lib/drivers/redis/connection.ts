import type {
  ConnectionStats,
  DriverConnection,
  DriverOptions,
  Receiver,
  ReceiverOptions,
  Sender,
  SenderOptions,
} from '../../driver.ts';
import { RedisClients } from './clients.ts';
import { RedisReceiver } from './receiver.ts';
import { redisSender } from './sender.ts';

/** A connection to the Redis at a URL, or where an ioredis client of the user's goes. */
export function connectRedis(target: string | object, options: DriverOptions): DriverConnection {
  return new RedisConnection(new RedisClients(target, options.maxClients), options.prefix);
}

class RedisConnection implements DriverConnection {
  readonly #clients: RedisClients;
  readonly #prefix: string;

  constructor(clients: RedisClients, prefix: string) {
    this.#clients = clients;
    this.#prefix = prefix;
  }

  ready(signal?: AbortSignal): Promise<void> {
    return this.#clients.ready(signal);
  }

  sender(queue: string, options: SenderOptions): Sender {
    return redisSender(this.#clients, this.#prefix + queue, options);
  }

  receiver(queue: string, options: ReceiverOptions): Receiver {
    return new RedisReceiver(this.#clients, this.#prefix + queue, options);
  }

  stats(): ConnectionStats {
    return this.#clients.stats();
  }

  close(): Promise<void> {
    return this.#clients.close();
  }
}
