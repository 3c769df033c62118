import { CONCURRENCY, check, type Job, job, turn } from './case.ts';
import { IN_FLIGHT, type Peer, sendInLanes } from './peer.ts';
import { requirePeer } from './peers.ts';

interface Message {
  readonly content: Buffer;
}

interface Channel {
  assertQueue(queue: string, options: { durable: boolean }): Promise<{ readonly messageCount: number }>;
  deleteQueue(queue: string): Promise<unknown>;
  prefetch(count: number): Promise<unknown>;
  consume(queue: string, onMessage: (message: Message | null) => void): Promise<unknown>;
  sendToQueue(
    queue: string,
    content: Buffer,
    options: { persistent: boolean },
    confirmed: (error: unknown) => void,
  ): boolean;
  ack(message: Message): void;
  close(): Promise<void>;
}

/** What of amqplib is used. */
interface Amqp {
  connect(url: string): Promise<{ createConfirmChannel(): Promise<Channel>; close(): Promise<void> }>;
}

/** A queue that outlives the server, in a channel that confirms what it has stored. */
async function open(url: string, queue: string) {
  const connection = await requirePeer<Amqp>('amqplib').connect(url);
  const channel = await connection.createConfirmChannel();
  const { messageCount } = await channel.assertQueue(queue, { durable: true });
  const close = async (): Promise<void> => {
    // When this is answered the server has noted all acknowledgements before it.
    await channel.close();
    await connection.close();
  };
  return { channel, messageCount, close };
}

/** Resolves when the server has confirmed it, which means that it is on the disk. */
function send(channel: Channel, queue: string, value: Job): Promise<void> {
  return new Promise((resolve, reject) => {
    const content = Buffer.from(JSON.stringify(value));
    channel.sendToQueue(queue, content, { persistent: true }, (error) => (error ? reject(error) : resolve()));
  });
}

/** It has no batches: many messages are on their way at a time, each until the server has confirmed it. */
async function push(url: string, queue: string, count: number): Promise<void> {
  const { channel, close } = await open(url, queue);
  await sendInLanes(count, IN_FLIGHT, 1, (id) => send(channel, queue, job(id)));
  await close();
}

/** The server lets it hold as many as there are handlers at work. */
async function drain(url: string, queue: string, count: number): Promise<void> {
  const { channel, close } = await open(url, queue);
  await channel.prefetch(CONCURRENCY);
  let sum = 0;
  let done = 0;
  await new Promise<void>((resolve, reject) => {
    const handle = async (message: Message): Promise<void> => {
      await turn();
      sum += JSON.parse(message.content.toString()).id;
      channel.ack(message);
      done += 1;
      if (done === count) resolve();
    };
    const onMessage = (message: Message | null): void => {
      if (message) handle(message).catch(reject);
      else reject(new Error('the queue is gone'));
    };
    channel.consume(queue, onMessage).catch(reject);
  });
  await close();
  check(sum, count);
}

export const rabbitMq: Peer = {
  broker: 'rabbitmq',
  share: 1 / 40,
  push: { name: `RabbitMQ sendToQueue(), durable, persistent, confirmed, ${IN_FLIGHT} in flight`, run: push },
  drain: { name: `RabbitMQ consume(), ack(), prefetch ${CONCURRENCY}`, run: drain },
  flow: { name: 'RabbitMQ sendToQueue() → consume()', push, drain },
  async clear(url, queue) {
    const { channel, close } = await open(url, queue);
    await channel.deleteQueue(queue);
    await close();
  },
  async waiting(_redis, queue, url) {
    const { messageCount, close } = await open(url, queue);
    await close();
    return messageCount;
  },
  line: {
    name: 'RabbitMQ sendToQueue() → consume(), ack()',
    async open(url, queue, arrived) {
      const producer = await open(url, queue);
      const consumer = await open(url, queue);
      await consumer.channel.prefetch(CONCURRENCY);
      await consumer.channel.consume(queue, (message) => {
        if (!message) throw new Error('the queue is gone');
        arrived(JSON.parse(message.content.toString()).id);
        consumer.channel.ack(message);
      });
      return {
        send: (value) => send(producer.channel, queue, value),
        close: () => Promise.all([producer.close(), consumer.close()]),
      };
    },
  },
};
