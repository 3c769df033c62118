import { Redis } from 'ioredis';
import { Client, connect, serve } from 'millrace';
import { QueueKeys } from '../../lib/drivers/redis/keys.ts';
import { scripts } from '../../lib/drivers/redis/scripts/index.ts';
import type { Job } from './case.ts';
import { type Exchange, echo, METHOD } from './exchange.ts';
import { moleculer } from './moleculer.ts';
import { nats } from './nats-core.ts';
import { nest } from './nest.ts';
import { RawConsumer } from './raw-consumer.ts';
import { ZEROMQ, zeroMqExchange } from './zeromq-exchange.ts';

const QUEUE = 'requests';

/** How many requests are worked on at a time. */
const CONCURRENCY = 256;

const millrace: Exchange = {
  broker: 'redis',
  serve: (url) => serve(QUEUE, { [METHOD]: echo }, { connection: url, concurrency: CONCURRENCY }).ready,
  connect(url) {
    const connection = connect(url);
    const client = new Client(QUEUE, { connection });
    return { ask: (job) => client.request(METHOD, job), close: () => connection.close() };
  },
};

/** How many items one command of the raw pair carries at most, and how many batches are on their way at a time. */
const RAW_BATCH = 128;
const RAW_COMMANDS = 2;

/** The scripts of the package, called as fast as ioredis can: what is asked, and answered, in one turn goes together. */
const raw: Exchange = {
  broker: 'redis',
  async serve(url) {
    const holder = await RawConsumer.join(url, QUEUE);
    const waiting = new Redis(url);
    const loop = async (): Promise<void> => {
      for (;;) {
        const parcel = await holder.take(RAW_BATCH);
        if (!parcel) {
          await waiting.blmove(QUEUE, holder.landing, 'RIGHT', 'LEFT', 0);
          continue;
        }
        const requests = parcel.jobs as unknown as { id: string; parameters: Job; channel: string }[];
        const results = await Promise.all(requests.map(({ parameters }) => echo(parameters)));
        for (const [index, { id, channel }] of requests.entries()) {
          const text = JSON.stringify({ id, success: true, data: results[index] });
          holder.answer({ job: parcel.jobs[index] as Job, parcel, index }, channel, text);
        }
      }
    };
    void loop();
  },
  async connect(url) {
    const redis = new Redis(url, { scripts });
    const subscriber = new Redis(url);
    const keys = new QueueKeys(QUEUE);
    const channel = `millrace:replies:raw${process.pid}`;
    const mailbox = keys.mailbox(channel) as string;
    const pending = new Map<string, (data: { id: number }) => void>();
    let last = '';
    await subscriber.subscribe(channel);
    subscriber.on('message', (_channel, message: string) => {
      last = message.slice(0, message.indexOf(' '));
      const replies = message.slice(message.indexOf(' ', last.length + 1) + 1);
      for (const { id, data } of JSON.parse(replies)) {
        pending.get(id)?.(data);
        pending.delete(id);
      }
    });
    const sweeping = setInterval(() => void redis.xtrim(mailbox, 'MINID', last || '0'), 1000);
    const record = keys.producer('raw');
    let stored = 0;
    let first = 1;
    let underWay = 0;
    const unsent: string[] = [];
    let isDue = false;
    const flush = (): void => {
      isDue = false;
      while (unsent.length > 0 && underWay < RAW_COMMANDS) {
        const batch = unsent.splice(0, RAW_BATCH);
        const how = [0, 'LPUSH', first, stored, 3600, 0, 0, keys.wake, 0];
        first += batch.length;
        underWay += 1;
        redis.millracePush(QUEUE, record, keys.marks, keys.delayed, ...how, ...batch).then((number) => {
          stored = number;
          underWay -= 1;
          flush();
        });
      }
    };
    let next = 0;
    return {
      ask(parameters) {
        const id = String(next++);
        unsent.push(JSON.stringify({ id, method: METHOD, parameters, channel, deadline: Date.now() + 30_000 }));
        if (!isDue) process.nextTick(flush);
        isDue = true;
        return new Promise((resolve) => pending.set(id, resolve));
      },
      async close() {
        clearInterval(sweeping);
        await redis.unlink(record, mailbox);
        redis.disconnect();
        subscriber.disconnect();
      },
    };
  },
};

export const RAW = 'raw: the same scripts, by hand';
export const OURS = 'Client → serve()';
export const MOLECULER = 'Moleculer';

export const exchanges: Record<string, Exchange> = {
  [RAW]: raw,
  [OURS]: millrace,
  [MOLECULER]: moleculer,
  'NestJS over Redis': nest,
  'NATS core': nats,
  [ZEROMQ]: zeroMqExchange,
};

/** Which package each of the others needs. */
export const PEERS: Record<string, string> = {
  [MOLECULER]: 'moleculer',
  'NestJS over Redis': '@nestjs/microservices',
  'NATS core': '@nats-io/transport-node',
  [ZEROMQ]: 'zeromq',
};
