import { once } from 'node:events';
import { Redis } from 'ioredis';
import { QueueKeys } from '../../lib/drivers/redis/keys.ts';
import { scripts } from '../../lib/drivers/redis/scripts/index.ts';
import type { Job } from './case.ts';
import { type Asker, type Exchange, echo, METHOD } from './exchange.ts';
import { RawConsumer, type RawParcel } from './raw-consumer.ts';
import { RawProducer } from './raw-producer.ts';

const QUEUE = 'raw-requests';
const BARE_QUEUE = 'bare-requests';

/** How many items one command carries at most, and how many batches are on their way at a time. */
const BATCH = 256;
const COMMANDS = 2;

/** Behind so many that came alone the next is held as it has landed. */
const ALONE = 3;

/** What is asked, as far as it is looked at. */
interface Request {
  readonly id: string;
  readonly parameters: Job;
  readonly channel: string;
}

/** What is asked in one turn of the event loop goes together. */
class BatchingAsker {
  readonly #channel: string;
  readonly #store: (batch: readonly string[]) => Promise<unknown>;
  readonly #pending = new Map<string, (data: { id: number }) => void>();
  #unsent: string[] = [];
  #next = 0;
  #underWay = 0;
  #isDue = false;

  /** @param store sends a batch */
  constructor(channel: string, store: (batch: readonly string[]) => Promise<unknown>) {
    this.#channel = channel;
    this.#store = store;
  }

  ask(parameters: Job): Promise<{ id: number }> {
    const id = String(this.#next++);
    const deadline = Date.now() + 30_000;
    this.#unsent.push(JSON.stringify({ id, method: METHOD, parameters, channel: this.#channel, deadline }));
    if (!this.#isDue) process.nextTick(() => this.#flush());
    this.#isDue = true;
    return new Promise((resolve) => this.#pending.set(id, resolve));
  }

  hear(replies: string): void {
    for (const { id, data } of JSON.parse(replies)) {
      this.#pending.get(id)?.(data);
      this.#pending.delete(id);
    }
  }

  #flush(): void {
    this.#isDue = false;
    while (this.#unsent.length > 0 && this.#underWay < COMMANDS) {
      this.#underWay += 1;
      void this.#store(this.#unsent.splice(0, BATCH)).then(() => {
        this.#underWay -= 1;
        this.#flush();
      });
    }
  }
}

/** The texts of the replies to requests, which are worked on all at once. */
async function repliesTo(requests: readonly Request[]): Promise<string[]> {
  const results = await Promise.all(requests.map(({ parameters }) => echo(parameters)));
  return requests.map(({ id }, index) => JSON.stringify({ id, success: true, data: results[index] }));
}

/** The scripts of the package, called as fast as ioredis can. */
export const raw: Exchange = {
  broker: 'redis',
  async serve(url) {
    const holder = await RawConsumer.join(url, QUEUE);
    let alone = 0;
    const next = async (): Promise<RawParcel> => {
      for (; alone < ALONE; await holder.wait()) {
        const parcel = await holder.take(BATCH);
        if (!parcel) continue;
        alone = parcel.jobs.length === 1 ? alone + 1 : 0;
        return parcel;
      }
      const { parcel, left } = await holder.land();
      if (left > 0) alone = 0;
      return parcel;
    };
    const loop = async (): Promise<void> => {
      for (;;) {
        const parcel = await next();
        const requests = parcel.jobs as unknown as Request[];
        const replies = await repliesTo(requests);
        for (const [index, { channel }] of requests.entries()) {
          holder.answer({ job: parcel.jobs[index] as Job, parcel, index }, channel, replies[index] as string);
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
    await once(redis, 'ready');
    const producer = new RawProducer(redis, keys);
    const asker = new BatchingAsker(channel, (batch) => producer.push(batch));
    let last = '';
    await subscriber.subscribe(channel);
    subscriber.on('message', (_channel, message: string) => {
      last = message.slice(0, message.indexOf(' '));
      asker.hear(message.slice(message.indexOf(' ', last.length + 1) + 1));
    });
    setInterval(() => void redis.xtrim(mailbox, 'MINID', last || '0'), 1000);
    return asker;
  },
};

/** The least that a queue in Redis can do: what is lost on the way is lost, and what a worker had that has died. */
export const bare: Exchange = {
  broker: 'redis',
  async serve(url) {
    const waiting = new Redis(url);
    const redis = new Redis(url);
    const loop = async (): Promise<void> => {
      for (;;) {
        const [, items] = (await waiting.blmpop(0, 1, BARE_QUEUE, 'RIGHT', 'COUNT', BATCH)) as [string, string[]];
        const requests = items.map((item) => JSON.parse(item) as Request);
        const replies = await repliesTo(requests);
        // All are of the one who asks.
        void redis.publish((requests[0] as Request).channel, `[${replies.join()}]`);
      }
    };
    void loop();
  },
  async connect(url): Promise<Asker> {
    const redis = new Redis(url);
    const subscriber = new Redis(url);
    const channel = `bare:${process.pid}`;
    const asker = new BatchingAsker(channel, (batch) => redis.lpush(BARE_QUEUE, ...batch));
    await subscriber.subscribe(channel);
    subscriber.on('message', (_channel, message: string) => asker.hear(message));
    return asker;
  },
};
