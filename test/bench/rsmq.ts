import { Redis } from 'ioredis';
import { CONCURRENCY, check, job, turn } from './case.ts';
import { IN_FLIGHT, type Peer, placeOf, sendInLanes } from './peer.ts';
import { requirePeer } from './peers.ts';

/** What of rsmq is used. */
type Rsmq = new (
  options: object,
) => {
  createQueueAsync(options: { qname: string }): Promise<unknown>;
  sendMessageAsync(options: { qname: string; message: string }): Promise<string>;
  receiveMessageAsync(options: { qname: string }): Promise<{ id?: string; message?: string }>;
  deleteMessageAsync(options: { qname: string; id: string }): Promise<number>;
  quit(done: () => void): void;
};

type Client = InstanceType<Rsmq>;

function open(url: string, options = {}): Client {
  return new (requirePeer<Rsmq>('rsmq'))({ ...placeOf(url), ...options });
}

function close(client: Client): Promise<void> {
  return new Promise((resolve) => client.quit(() => resolve()));
}

/** The queue is there already where an earlier round has used it. */
async function createQueue(client: Client, qname: string): Promise<void> {
  try {
    await client.createQueueAsync({ qname });
  } catch (error) {
    if ((error as Error).name !== 'queueExists') throw error;
  }
}

/** It has no batches: many messages are on their way at a time, which node_redis sends together. */
async function push(url: string, qname: string, count: number): Promise<void> {
  const client = open(url);
  await createQueue(client, qname);
  await sendInLanes(count, IN_FLIGHT, 1, (id) => client.sendMessageAsync({ qname, message: JSON.stringify(job(id)) }));
  await close(client);
}

/** Each lane receives a message, handles it, and deletes it. */
async function drain(url: string, qname: string, count: number): Promise<void> {
  const client = open(url);
  let sum = 0;
  await sendInLanes(count, CONCURRENCY, 1, async () => {
    const { id, message } = await client.receiveMessageAsync({ qname });
    if (id === undefined || message === undefined) throw new Error('the queue is empty');
    await turn();
    sum += JSON.parse(message).id;
    await client.deleteMessageAsync({ qname, id });
  });
  await close(client);
  check(sum, count);
}

export const rsmq: Peer = {
  broker: 'redis',
  share: 1 / 20,
  push: { name: `rsmq sendMessage(), ${IN_FLIGHT} in flight`, run: push },
  drain: { name: `rsmq receiveMessage(), deleteMessage(), ${CONCURRENCY} lanes`, run: drain },
  waiting: (redis, queue) => redis.zcard(`rsmq:${queue}`),
  line: {
    name: 'rsmq sendMessage(), realtime → receiveMessage()',
    /** Nothing in it waits: its documentation has a subscriber for that. */
    async open(url, qname, arrived) {
      const client = open(url, { realtime: true });
      const subscriber = new Redis(url);
      await createQueue(client, qname);
      await subscriber.subscribe(`rsmq:rt:${qname}`);
      subscriber.on('message', async () => {
        const { id, message } = await client.receiveMessageAsync({ qname });
        if (id === undefined || message === undefined) throw new Error('the queue is empty');
        arrived(JSON.parse(message).id);
        await client.deleteMessageAsync({ qname, id });
      });
      return {
        send: (value) => client.sendMessageAsync({ qname, message: JSON.stringify(value) }),
        close() {
          subscriber.disconnect();
          return close(client);
        },
      };
    },
  },
};
