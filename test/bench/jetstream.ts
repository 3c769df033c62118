import { setTimeout as delay } from 'node:timers/promises';
import { CONCURRENCY, check, type Job, job, turn } from './case.ts';
import { IN_FLIGHT, type Peer, sendInLanes } from './peer.ts';
import { requirePeer } from './peers.ts';

interface Connection {
  flush(): Promise<void>;
  close(): Promise<void>;
}

interface Message {
  json<T>(): T;
  ack(): void;
}

interface Consumer {
  consume(options: { max_messages: number; callback(message: Message): void }): Promise<{ close(): Promise<unknown> }>;
}

interface Manager {
  readonly streams: {
    add(options: object): Promise<unknown>;
    delete(name: string): Promise<unknown>;
    info(name: string): Promise<{ readonly state: { readonly messages: number } }>;
  };
  readonly consumers: { add(stream: string, options: object): Promise<unknown> };
}

/** What of the clients of NATS is used. */
interface Nats {
  connect(options: { servers: string }): Promise<Connection>;
}

interface JetStream {
  jetstream(connection: Connection): {
    publish(subject: string, data: string): Promise<unknown>;
    readonly consumers: { get(stream: string, consumer: string): Promise<Consumer> };
  };
  jetstreamManager(connection: Connection): Promise<Manager>;
}

const DURABLE = 'workers';

/** How many messages a consumer holds at most: what the server lets be unacknowledged by default is twice that. */
const PREFETCH = 500;

async function open(servers: string) {
  const connection = await requirePeer<Nats>('@nats-io/transport-node').connect({ servers });
  const { jetstream, jetstreamManager } = requirePeer<JetStream>('@nats-io/jetstream');
  return { connection, stream: jetstream(connection), manager: await jetstreamManager(connection) };
}

/** A stream that is a queue: in memory, as the redis-server beside it keeps no file; what is acknowledged is gone. One that is there stays. */
async function createQueue({ streams, consumers }: Manager, name: string): Promise<void> {
  await streams.add({ name, subjects: [name], storage: 'memory', retention: 'workqueue' });
  await consumers.add(name, { durable_name: DURABLE, ack_policy: 'explicit' });
}

/** It has no batches: many messages are on their way at a time, each until the server has confirmed it. */
async function push(url: string, queue: string, count: number): Promise<void> {
  const { connection, stream, manager } = await open(url);
  await createQueue(manager, queue);
  await sendInLanes(count, IN_FLIGHT, 1, (id) => stream.publish(queue, JSON.stringify(job(id))));
  await connection.close();
}

/** Done when the server has noted all that is acknowledged. */
async function drain(url: string, queue: string, count: number): Promise<void> {
  const { connection, stream, manager } = await open(url);
  await createQueue(manager, queue);
  const consumer = await stream.consumers.get(queue, DURABLE);
  const waiting: Message[] = [];
  let running = 0;
  let sum = 0;
  let done = 0;
  await new Promise<void>((resolve, reject) => {
    const handle = async (message: Message): Promise<void> => {
      await turn();
      sum += message.json<Job>().id;
      message.ack();
      running -= 1;
      done += 1;
      if (done === count) resolve();
      startSome();
    };
    const startSome = (): void => {
      while (running < CONCURRENCY) {
        const message = waiting.shift();
        if (!message) return;
        running += 1;
        handle(message).catch(reject);
      }
    };
    const callback = (message: Message): void => {
      waiting.push(message);
      startSome();
    };
    consumer.consume({ max_messages: PREFETCH, callback }).catch(reject);
  });
  await connection.flush();
  while ((await manager.streams.info(queue)).state.messages > 0) await delay(1);
  await connection.close();
  check(sum, count);
}

export const jetStream: Peer = {
  broker: 'nats',
  share: 1 / 20,
  push: { name: `JetStream publish(), in memory, ${IN_FLIGHT} in flight`, run: push },
  drain: { name: `JetStream consume(), ack(), ${PREFETCH} held, ${CONCURRENCY} at work`, run: drain },
  flow: { name: 'JetStream publish() → consume()', push, drain },
  async clear(url, queue) {
    const { connection, manager } = await open(url);
    // There is none in the first round.
    await manager.streams.delete(queue).catch(() => {});
    await connection.close();
  },
  async waiting(_redis, queue, url) {
    const { connection, manager } = await open(url);
    const { state } = await manager.streams.info(queue);
    await connection.close();
    return state.messages;
  },
  line: {
    name: 'JetStream publish() → consume(), ack()',
    async open(url, queue, arrived) {
      const { connection, stream, manager } = await open(url);
      await createQueue(manager, queue);
      const consumer = await stream.consumers.get(queue, DURABLE);
      const callback = (message: Message): void => {
        arrived(message.json<Job>().id);
        message.ack();
      };
      await consumer.consume({ max_messages: PREFETCH, callback });
      return {
        send: (value) => stream.publish(queue, JSON.stringify(value)),
        close: () => connection.close(),
      };
    },
  },
};
