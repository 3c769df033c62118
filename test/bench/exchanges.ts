import { Redis } from 'ioredis';
import { Client, connect, serve } from 'millrace';
import { QueueKeys } from '../../lib/drivers/redis/keys.ts';
import { scripts } from '../../lib/drivers/redis/scripts/index.ts';
import type { BrokerKind } from './brokers.ts';
import type { Job } from './case.ts';
import { placeOf } from './peer.ts';
import { requirePeer } from './peers.ts';
import { RawConsumer } from './raw-consumer.ts';

/** One who asks. */
export interface Asker {
  ask(job: Job): Promise<{ id: number }>;
  close(): Promise<unknown>;
}

/** One way to ask and to answer, through a broker. */
export interface Exchange {
  readonly broker: BrokerKind;
  /** Answers each job with its id until the process ends; resolves when it is ready. */
  serve(url: string): Promise<unknown>;
  connect(url: string): Promise<Asker> | Asker;
}

const QUEUE = 'requests';
const METHOD = 'echo';

/** How many requests are worked on at a time. */
const CONCURRENCY = 256;

const echo = async ({ id }: Job): Promise<{ id: number }> => ({ id });

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

/** What of Moleculer is used. */
interface Moleculer {
  readonly ServiceBroker: new (
    options: object,
  ) => {
    createService(schema: object): unknown;
    start(): Promise<void>;
    stop(): Promise<void>;
    waitForServices(name: string): Promise<unknown>;
    call(action: string, parameters: object): Promise<{ id: number }>;
  };
}

/** With its defaults but for what costs time and is of no use here: its log, metrics and tracing are off. */
const moleculer: Exchange = {
  broker: 'redis',
  async serve(url) {
    const broker = moleculerBroker(url, 'answering');
    const action = (context: { params: Job }): Promise<{ id: number }> => echo(context.params);
    broker.createService({ name: 'math', actions: { echo: action } });
    await broker.start();
  },
  async connect(url) {
    const broker = moleculerBroker(url, 'asking');
    await broker.start();
    await broker.waitForServices('math');
    return { ask: (job) => broker.call('math.echo', job), close: () => broker.stop() };
  },
};

function moleculerBroker(transporter: string, nodeID: string) {
  const { ServiceBroker } = requirePeer<Moleculer>('moleculer');
  return new ServiceBroker({ nodeID, transporter, logger: false, metrics: false, tracing: false });
}

/** What of NestJS is used. */
interface Nest {
  readonly ServerRedis: new (
    options: object,
  ) => {
    addHandler(pattern: string, handler: (data: Job) => Promise<{ id: number }>): void;
    listen(done: (error?: unknown) => void): unknown;
  };
  readonly ClientRedis: new (
    options: object,
  ) => { connect(): Promise<unknown>; send(pattern: string, data: Job): unknown; close(): unknown };
}

interface Rxjs {
  firstValueFrom(source: unknown): Promise<{ id: number }>;
}

const nest: Exchange = {
  broker: 'redis',
  serve(url) {
    prepareNest();
    const server = new (requirePeer<Nest>('@nestjs/microservices').ServerRedis)(placeOf(url));
    server.addHandler(METHOD, echo);
    return new Promise<void>((resolve, reject) => {
      server.listen((error) => (error ? reject(error) : resolve()));
    });
  },
  async connect(url) {
    prepareNest();
    const { firstValueFrom } = requirePeer<Rxjs>('rxjs');
    const client = new (requirePeer<Nest>('@nestjs/microservices').ClientRedis)(placeOf(url));
    await client.connect();
    return { ask: (job) => firstValueFrom(client.send(METHOD, job)), close: async () => client.close() };
  },
};

/** Its log goes to where our figures go. */
function prepareNest(): void {
  requirePeer('reflect-metadata');
  requirePeer<{ Logger: { overrideLogger(yes: boolean): void } }>('@nestjs/common').Logger.overrideLogger(false);
}

/** What of the NATS client is used. */
interface Nats {
  connect(options: { servers: string }): Promise<{
    subscribe(subject: string, options: { callback(error: unknown, message: NatsMessage): void }): unknown;
    request(subject: string, data: string, options: { timeout: number }): Promise<NatsMessage>;
    flush(): Promise<void>;
    close(): Promise<void>;
  }>;
}

interface NatsMessage {
  json<T>(): T;
  respond(data: string): boolean;
}

/** Its default: one subscription for all replies, JSON by hand. */
const nats: Exchange = {
  broker: 'nats',
  async serve(url) {
    const connection = await requirePeer<Nats>('@nats-io/transport-node').connect({ servers: url });
    connection.subscribe(METHOD, {
      callback: async (_error, message) => {
        message.respond(JSON.stringify(await echo(message.json<Job>())));
      },
    });
    await connection.flush();
  },
  async connect(url) {
    const connection = await requirePeer<Nats>('@nats-io/transport-node').connect({ servers: url });
    return {
      ask: async (job) => (await connection.request(METHOD, JSON.stringify(job), { timeout: 30_000 })).json(),
      close: () => connection.close(),
    };
  },
};

export const RAW = 'raw: the same scripts, by hand';

export const exchanges: Record<string, Exchange> = {
  [RAW]: raw,
  'Client → serve()': millrace,
  Moleculer: moleculer,
  'NestJS over Redis': nest,
  'NATS core': nats,
};

/** Which package each of the others needs. */
export const PEERS: Record<string, string> = {
  Moleculer: 'moleculer',
  'NestJS over Redis': '@nestjs/microservices',
  'NATS core': '@nats-io/transport-node',
};
