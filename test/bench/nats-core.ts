import type { Job } from './case.ts';
import { type Exchange, echo, METHOD } from './exchange.ts';
import { requirePeer } from './peers.ts';

/** What of the NATS client is used. */
interface Nats {
  connect(options: { servers: string }): Promise<{
    subscribe(subject: string, options: { callback(error: unknown, message: NatsMessage): void }): unknown;
    request(subject: string, data: string, options: { timeout: number }): Promise<NatsMessage>;
    flush(): Promise<void>;
  }>;
}

interface NatsMessage {
  json<T>(): T;
  respond(data: string): boolean;
}

/** Its default: one subscription for all replies, JSON by hand. */
export const nats: Exchange = {
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
    };
  },
};
