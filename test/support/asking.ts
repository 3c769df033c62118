import { randomUUID } from 'node:crypto';
import { type Connection, internal } from '../../lib/connect.ts';
import type { DriverConnection, Inbox, Sender } from '../../lib/driver.ts';
import { isReply, packetsIn, type ReplyPacket, type RequestPacket } from '../../lib/packet.ts';
import { until } from './streams.ts';

/** What the streams have of a connection: its driver's. */
export function driverOf(connection: Connection): Promise<DriverConnection> {
  const stream = { destroyed: false, emit: () => true, close: async () => {}, destroy: () => {} };
  return connection[internal].open(stream, new AbortController().signal);
}

/** Asks, by what a driver knows of requests, and gathers the replies. */
export class Asker {
  readonly driver: DriverConnection;
  readonly queue: string;
  /** All that have come, in that order. */
  readonly replies: ReplyPacket[] = [];
  readonly #inbox: Inbox;
  readonly #unwatch: () => void;
  readonly #sender: Sender;

  private constructor(driver: DriverConnection, queue: string) {
    this.driver = driver;
    this.queue = queue;
    this.#inbox = driver.inbox((message) => void this.replies.push(...packetsIn(message).filter(isReply)));
    this.#unwatch = this.#inbox.watch(queue);
    this.#sender = driver.sender(queue, { side: 'left' });
  }

  static async open(connection: Connection, queue: string): Promise<Asker> {
    const asker = new Asker(await driverOf(connection), queue);
    // Then it has said that it listens, before anybody answers by another connection.
    await asker.driver.ready();
    return asker;
  }

  /** A request with a new id. */
  packet(method: string, parameters?: unknown, more: Partial<RequestPacket> = {}): RequestPacket {
    return { id: randomUUID(), method, parameters, channel: this.#inbox.channel, ...more };
  }

  async send(...packets: unknown[]): Promise<void> {
    await this.#sender.send(packets.map((packet) => JSON.stringify(packet)));
  }

  /** The reply to a request, when it has come. */
  async reply({ id }: RequestPacket): Promise<ReplyPacket> {
    await until(() => this.repliesTo({ id }).length > 0);
    return this.repliesTo({ id })[0] as ReplyPacket;
  }

  repliesTo({ id }: Pick<RequestPacket, 'id'>): ReplyPacket[] {
    return this.replies.filter((reply) => reply.id === id);
  }

  async ask(method: string, parameters?: unknown, more?: Partial<RequestPacket>): Promise<ReplyPacket> {
    const packet = this.packet(method, parameters, more);
    await this.send(packet);
    return this.reply(packet);
  }

  /** What a request is answered with that succeeds. */
  async data(method: string, parameters?: unknown): Promise<unknown> {
    const reply = await this.ask(method, parameters);
    if (!reply.success) throw new Error(`failed: ${JSON.stringify(reply.error)}`);
    return reply.data;
  }

  /** What a request is answered with that fails. */
  async error(method: string, parameters?: unknown): Promise<{ name: string; message: string; code?: string }> {
    const reply = await this.ask(method, parameters);
    if (reply.success) throw new Error(`succeeded: ${JSON.stringify(reply)}`);
    return reply.error;
  }

  /** Says that nobody waits for the answer to a request any more. */
  async cancel(packet: RequestPacket): Promise<void> {
    const { channel, id } = packet;
    const body = JSON.stringify(packet);
    await this.driver.cancel(this.queue, { channel, id, body, until: this.driver.now() + 60_000 });
  }

  async close(): Promise<void> {
    this.#unwatch();
    this.#inbox.close();
    await this.#sender.close();
  }
}
