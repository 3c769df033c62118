import type { Redis } from 'ioredis';
import type {
  Cancellations,
  CancelledRequest,
  ConnectionStats,
  Consumer,
  ConsumerOptions,
  DeadLetterRecord,
  DriverConnection,
  DriverOptions,
  Inbox,
  QueueInfo,
  Receiver,
  ReceiverOptions,
  Reply,
  Sender,
  SenderOptions,
} from '../../driver.ts';
import { cancelledName, messagesOf } from '../../packet.ts';
import { RedisCancellations } from './cancellations.ts';
import { RedisClients, unboundedAbortController } from './clients.ts';
import { RedisConsumer } from './consumer.ts';
import { RedisInbox } from './inbox.ts';
import { Inspection } from './inspection.ts';
import { QueueKeys } from './keys.ts';
import { RedisReceiver } from './receiver.ts';
import { clock } from './scripts/index.ts';
import { RedisSender } from './sender.ts';

/** A connection to the Redis at a URL, or where an ioredis client of the user's goes. */
export function connectRedis(target: string | object, options: DriverOptions): DriverConnection {
  return new RedisConnection(new RedisClients(target, options.maxClients), options.prefix);
}

/** What streams see of the clients of one connection. */
export class RedisConnection implements DriverConnection {
  readonly #clients: RedisClients;
  readonly #prefix: string;
  readonly #inspection: Inspection;
  readonly #closing = unboundedAbortController();

  constructor(clients: RedisClients, prefix: string) {
    this.#clients = clients;
    this.#prefix = prefix;
    this.#inspection = new Inspection(clients, prefix, this.#closing.signal);
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

  now(): number {
    return this.#clients.now();
  }

  inbox(onReplies: (message: string) => void): Inbox {
    return new RedisInbox(this.#clients, this.#prefix, onReplies);
  }

  async reply(replies: readonly Reply[], queue?: string): Promise<void> {
    const messages = messagesOf(replies);
    const publish = (client: Redis): Promise<unknown> =>
      Promise.all(messages.map(({ channel, text }) => client.publish(channel, text)));
    const post = (client: Redis, { marks, base }: QueueKeys): Promise<unknown> =>
      client.millracePost(marks, base, ...messages.flatMap(({ channel, text }) => [channel, text]));
    const keys = queue === undefined ? undefined : this.#keysOf(queue);
    await this.#clients.use((client) => (keys ? post(client, keys) : publish(client)), this.#closing.signal);
  }

  async cancel(queue: string, request: CancelledRequest): Promise<void> {
    const { queue: list, cancelled, marks, wake } = this.#keysOf(queue);
    const { body, until } = request;
    const name = cancelledName(request);
    await this.#clients.use(
      (client) => client.millraceCancel(list, cancelled, marks, clock.offset, body, name, until, wake),
      this.#closing.signal,
    );
  }

  cancellations(queue: string, onCancelled: (request: string) => void): Cancellations {
    return new RedisCancellations(this.#clients, this.#keysOf(queue), onCancelled);
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
    this.#closing.abort();
    return this.#clients.close();
  }

  #keysOf(queue: string): QueueKeys {
    return new QueueKeys(this.#prefix + queue);
  }
}
