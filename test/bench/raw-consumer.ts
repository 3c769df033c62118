import { Redis } from 'ioredis';
import { QueueKeys } from '../../lib/drivers/redis/keys.ts';
import { scripts } from '../../lib/drivers/redis/scripts/index.ts';
import type { Job } from './case.ts';

/** How long its lease is, in milliseconds: it never gives a sign of life. */
const LEASE = 600_000;

/** What one take has moved, and which of it is done, as the scripts have it: a bit for each, and those beyond the last are set. */
export interface RawParcel {
  readonly number: number;
  readonly jobs: readonly Job[];
  mask: Buffer | undefined;
}

/** One job that is held. */
export interface RawItem {
  readonly job: Job;
  readonly parcel: RawParcel;
  readonly index: number;
}

/**
 * A consumer by hand: the scripts of the package, called as fast as ioredis can, and none of its care. It gives no signs of life, knows
 * no broken connection, and takes whatever comes for plain JSON items.
 */
export class RawConsumer {
  readonly redis: Redis;
  readonly keys: QueueKeys;
  readonly #name = 'raw';
  readonly #incarnation = `raw-${process.pid}`;
  readonly #inProcess: string;
  readonly #parcels: string;
  readonly #waiting: Redis;
  #number = 0;
  #done: RawParcel[] = [];
  #acknowledged: Promise<unknown> | undefined;
  #isAcknowledged: (answer: number) => void = () => {};
  #count = 0;
  /** By channel. */
  #replies = new Map<string, string[]>();

  private constructor(url: string, queue: string) {
    this.redis = new Redis(url, { scripts });
    this.#waiting = new Redis(url, { scripts });
    this.keys = new QueueKeys(queue);
    this.#inProcess = this.keys.inProcess(this.#name);
    this.#parcels = this.keys.parcels(this.#incarnation);
  }

  static async join(url: string, queue: string): Promise<RawConsumer> {
    const consumer = new RawConsumer(url, queue);
    const { redis, keys } = consumer;
    // Until then it has no stream.
    await consumer.#waiting.ping();
    const who = [consumer.#name, consumer.#incarnation, LEASE, 5, ''];
    await redis.millraceJoin(keys.consumers, 0, keys.base, keys.wake, ...who);
    return consumer;
  }

  /** What it asks with. */
  get clients(): Redis[] {
    return [this.redis, this.#waiting];
  }

  get landing(): string {
    return this.keys.landing(this.#incarnation);
  }

  /** Resolves when that was said which {@link land} is to say of what is done now. */
  get acknowledged(): Promise<unknown> {
    this.#acknowledged ??= new Promise((resolve) => (this.#isAcknowledged = resolve));
    return this.#acknowledged;
  }

  /** Notes that a job is done: the next {@link take}, {@link land} or {@link flush} acknowledges it. */
  done({ parcel, index }: RawItem): void {
    if (!parcel.mask) {
      parcel.mask = maskOf(parcel.jobs.length);
      this.#done.push(parcel);
    }
    (parcel.mask[index >> 3] as number) |= 1 << (index & 7);
    this.#count += 1;
  }

  /** Notes that a job is done, and what it is answered with. */
  answer(item: RawItem, channel: string, text: string): void {
    this.done(item);
    const replies = this.#replies.get(channel);
    if (replies) replies.push(text);
    else this.#replies.set(channel, [text]);
  }

  /** Acknowledges what is done and takes up to `max`, in one write. */
  async take(max: number): Promise<RawParcel | undefined> {
    const { redis, keys } = this;
    const number = ++this.#number;
    const list = this.#parcels + number;
    const where = [keys.queue, keys.again, keys.consumers, this.#inProcess, this.landing, list];
    redis.stream.cork();
    if (this.#count > 0) void this.#acknowledge();
    void redis.millraceTake(...where, 0, this.#name, this.#incarnation, number, max, max);
    const taking = redis.lrangeBuffer(list, 0, -1);
    redis.stream.uncork();
    const items = await taking;
    if (items.length === 0) {
      // Who finds nothing, and has not asked for more meanwhile, asks by the same number again.
      if (this.#number === number) this.#number -= 1;
      return undefined;
    }
    return { number, jobs: items.map((bytes) => JSON.parse(bytes.toString())), mask: undefined };
  }

  /** Waits until an item has come, which the next {@link take} gives with what there is besides. */
  async wait(): Promise<void> {
    await this.#waiting.blmove(this.keys.queue, this.landing, 'RIGHT', 'LEFT', 0);
  }

  /** Acknowledges what is done and waits for an item, which is held as it has landed, in one write; says how many there are besides. */
  async land(): Promise<{ parcel: RawParcel; left: number }> {
    const { stream } = this.#waiting;
    stream.cork();
    if (this.#count > 0) void this.#acknowledge(this.#waiting).then(this.#isAcknowledged);
    this.#acknowledged = undefined;
    const landing = this.#waiting.blmove(this.keys.queue, this.landing, 'RIGHT', 'LEFT', 0);
    const counting = this.#waiting.llen(this.keys.queue);
    stream.uncork();
    const [item, left] = (await Promise.all([landing, counting])) as [string, number];
    return { parcel: { number: ++this.#number, jobs: [JSON.parse(item)], mask: undefined }, left };
  }

  /** Acknowledges what is done. */
  async flush(): Promise<void> {
    if (this.#count > 0) await this.#acknowledge();
  }

  /** What the script of a hop is told of a parcel that it settles as a whole: keys, and arguments. */
  settlementOf({ number, jobs }: RawParcel): { keys: string[]; args: (string | number | Buffer)[] } {
    const mask = Buffer.alloc(Math.ceil(jobs.length / 8), 0xff);
    return {
      keys: [this.keys.consumers, this.#inProcess, this.keys.marks, this.#parcels],
      args: [this.#name, this.#incarnation, jobs.length, 1, number, mask],
    };
  }

  async close(): Promise<void> {
    await this.redis.millraceLeave(this.keys.consumers, this.keys.base, this.keys.wake, this.#name, this.#incarnation);
    this.redis.disconnect();
    this.#waiting.disconnect();
  }

  #acknowledge(by = this.redis): Promise<number> {
    const where = [this.keys.consumers, this.#inProcess, this.keys.marks, this.#parcels];
    const who = [this.#name, this.#incarnation, this.#count];
    const masks = this.#done.flatMap(({ number, mask }) => [number, mask as Buffer]);
    for (const parcel of this.#done) parcel.mask = undefined;
    this.#done = [];
    this.#count = 0;
    if (this.#replies.size === 0) return by.millraceAck(...where, ...who, ...masks);
    const messages = Array.from(this.#replies, ([channel, texts]) => [channel, `[${texts.join()}]`]).flat();
    this.#replies.clear();
    return by.millraceAnswer(...where, ...who, this.keys.base, masks.length / 2, ...masks, ...messages);
  }
}

function maskOf(count: number): Buffer {
  const mask = Buffer.alloc(Math.ceil(count / 8));
  for (let index = count; index < mask.length * 8; index += 1) (mask[index >> 3] as number) |= 1 << (index & 7);
  return mask;
}
