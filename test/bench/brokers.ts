import { freePort, RedisServer } from '../support/redis.ts';
import { NatsServer } from './nats-server.ts';
import { isInstalled } from './peers.ts';

/** A server that jobs go through: where it is, and which process. */
export interface Broker {
  readonly url: string;
  readonly pid: number | undefined;
}

/** What a case goes through. */
export type BrokerKind = 'redis' | 'nats' | 'direct';

/** All that jobs go through. */
export interface Brokers {
  readonly server: RedisServer;
  /** Absent where there is none to be had. */
  readonly nats: NatsServer | undefined;
  /** No server at all: a place where one process of a case listens, and the other connects. */
  readonly direct: Broker;
}

/** The broker of a kind; nothing where that is not there. */
export function brokerOfKind(kind: BrokerKind, { server, nats, direct }: Brokers): Broker | undefined {
  return { redis: server, nats, direct }[kind];
}

/** Starts those whose clients are installed; they end with what is given. */
export async function startBrokers(): Promise<Brokers & AsyncDisposable> {
  const server = await RedisServer.start();
  const nats = isInstalled('@nats-io/transport-node') ? await NatsServer.start() : undefined;
  return {
    server,
    nats,
    direct: { url: `tcp://127.0.0.1:${await freePort()}`, pid: undefined },
    async [Symbol.asyncDispose]() {
      await Promise.all([server, nats].map((one) => one?.[Symbol.asyncDispose]()));
    },
  };
}
