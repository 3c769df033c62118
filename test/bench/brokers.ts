import { freePort, RedisServer } from '../support/redis.ts';
import { NatsServer } from './nats-server.ts';
import { isInstalled } from './peers.ts';
import { RabbitServer } from './rabbit-server.ts';

/** A server that jobs go through: where it is, and which process. */
export interface Broker {
  readonly url: string;
  readonly pid: number | undefined;
}

/** What a case goes through. */
export type BrokerKind = 'redis' | 'nats' | 'rabbitmq' | 'direct';

/** All that jobs go through. */
export interface Brokers {
  readonly server: RedisServer;
  /** These are absent where there is none to be had. */
  readonly nats: NatsServer | undefined;
  readonly rabbitmq: RabbitServer | undefined;
  /** No server at all: a place where one process of a case listens, and the other connects. */
  readonly direct: Broker;
}

/** The broker of a kind; nothing where that is not there. */
export function brokerOfKind(kind: BrokerKind, { server, nats, rabbitmq, direct }: Brokers): Broker | undefined {
  return { redis: server, nats, rabbitmq, direct }[kind];
}

/** What the process of a case is told: what the case is called, where its broker is, and which process that is, if there is one. */
export function argumentsFor(name: string, broker: Broker | undefined): string[] {
  const { url = '', pid } = broker ?? {};
  return pid === undefined ? [name, url] : [name, url, String(pid)];
}

/** Starts those whose clients are installed; they end with what is given. */
export async function startBrokers(): Promise<Brokers & AsyncDisposable> {
  const server = await RedisServer.start();
  const nats = await startFor('@nats-io/transport-node', () => NatsServer.start());
  const rabbitmq = await startFor('amqplib', () => RabbitServer.start());
  return {
    server,
    nats,
    rabbitmq,
    direct: { url: `tcp://127.0.0.1:${await freePort()}`, pid: undefined },
    async [Symbol.asyncDispose]() {
      await Promise.all([server, nats, rabbitmq].map((one) => one?.[Symbol.asyncDispose]()));
    },
  };
}

/** Starts a server whose client is installed; where it can't be started it says why, and rows stay empty. */
async function startFor<Server>(client: string, start: () => Promise<Server | undefined>): Promise<Server | undefined> {
  if (!isInstalled(client)) return undefined;
  try {
    return await start();
  } catch (error) {
    process.stderr.write(
      `a server for ${client} can't be started, so its rows stay empty: ${(error as Error).message}\n`,
    );
    return undefined;
  }
}
