import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { check, job } from './case.ts';
import type { Peer } from './peer.ts';
import { requirePeer } from './peers.ts';

/** What of node_redis is used. */
interface Client {
  end(flush: boolean): void;
}

/** What of pushpull is used. */
interface PushPull {
  readonly Push: new (options: object) => Writable;
  readonly Pull: new (options: object) => Readable;
}

/** It has its client from who uses it, which spares it the default that has no way to close. */
function open<Kind extends keyof PushPull>(kind: Kind, url: string, queue: string) {
  const client = requirePeer<{ createClient(url: string): Client }>('redis').createClient(url);
  const stream = new (requirePeer<PushPull>('pushpull')[kind])({ queue, client });
  return { stream: stream as InstanceType<PushPull[Kind]>, close: () => client.end(true) };
}

/** Its stream sends one item at a time, and its own end() throws away what is not sent. */
async function push(url: string, queue: string, count: number): Promise<void> {
  const { stream, close } = open('Push', url, queue);
  for (let id = 0; id < count - 1; id += 1) if (!stream.write(job(id))) await once(stream, 'drain');
  await new Promise<void>((resolve, reject) => {
    stream.write(job(count - 1), (error) => (error ? reject(error) : resolve()));
  });
  close();
}

/** It knows nothing of acknowledgements: what it has popped is settled. */
async function drain(url: string, queue: string, count: number): Promise<void> {
  const { stream, close } = open('Pull', url, queue);
  let sum = 0;
  let taken = 0;
  await new Promise<void>((resolve, reject) => {
    stream.on('data', ({ id }) => {
      sum += id;
      taken += 1;
      if (taken === count) resolve();
    });
    stream.on('error', reject);
  });
  stream.removeAllListeners('error').on('error', () => {});
  close();
  check(sum, count);
}

export const pushpull: Peer = {
  broker: 'redis',
  share: 1 / 40,
  push: { name: "pushpull write() and 'drain', redis 2.8", run: push },
  drain: { name: "pushpull on('data'), redis 2.8", run: drain },
  flow: { name: "pushpull write() → on('data')", push, drain },
  waiting: (redis, queue) => redis.llen(queue),
  line: {
    name: "pushpull write() → on('data'), redis 2.8",
    async open(url, queue, arrived) {
      const producer = open('Push', url, queue);
      const consumer = open('Pull', url, queue);
      consumer.stream.on('data', ({ id }) => arrived(id));
      return {
        send: (value) => new Promise((resolve) => producer.stream.write(value, resolve)),
        async close() {
          consumer.stream.on('error', () => {});
          consumer.close();
          producer.close();
        },
      };
    },
  },
};
