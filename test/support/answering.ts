import { type Connection, internal } from '../../lib/connect.ts';
import { share } from '../../lib/delivery.ts';
import type { Cancellations, DriverConnection } from '../../lib/driver.ts';
import { type Delivery, DeliveryStream } from '../../lib/index.ts';
import { failureText, type RequestPacket, remoteErrorOf, replyText } from '../../lib/packet.ts';
import { until } from './streams.ts';

/** The driver's connection under a connection. */
export function driverUnder(connection: Connection): Promise<DriverConnection> {
  const stream = { destroyed: false, emit: () => true, close: async () => {}, destroy: () => {} };
  return connection[internal].open(stream, new AbortController().signal);
}

/** Answers the requests of a queue, as they come or when it is told to, by what a consumer knows of replies. */
export class Answerer {
  readonly stream: DeliveryStream<RequestPacket>;
  /** All that have come, in that order. */
  readonly requests: Delivery<RequestPacket>[] = [];
  readonly cancelled: string[] = [];
  #cancellations: Cancellations | undefined;

  /** @param handler none: what comes is held until it is told */
  constructor(connection: Connection, queue: string, handler?: (packet: RequestPacket) => unknown) {
    this.stream = new DeliveryStream<RequestPacket>(queue, { connection });
    this.stream.on('data', (delivery: Delivery<RequestPacket>) => {
      this.requests.push(delivery);
      if (handler) void this.#handle(delivery, handler);
    });
  }

  /** One that knows what is cancelled from the beginning. */
  static async watching(connection: Connection, queue: string): Promise<Answerer> {
    const answerer = new Answerer(connection, queue);
    const driver = await driverUnder(connection);
    const cancellations = driver.cancellations(queue, (name) => answerer.cancelled.push(name));
    answerer.#cancellations = cancellations;
    answerer.stream.once('close', () => cancellations.close());
    await cancellations.ready;
    return answerer;
  }

  /** What the requests that have come ask with. */
  get parameters(): unknown[] {
    return this.requests.map(({ value }) => value.parameters);
  }

  /** Which of the requests that have come are cancelled, by what they ask with. */
  get cancelledParameters(): unknown[] {
    const isCancelled = ({ value }: Delivery<RequestPacket>): boolean => this.#cancellations?.has(value) ?? false;
    return this.requests.filter(isCancelled).map(({ value }) => value.parameters);
  }

  /** The request with that number, from 0, once it has come. */
  async request(number: number): Promise<Delivery<RequestPacket>> {
    await until(() => this.requests.length > number);
    return this.requests[number] as Delivery<RequestPacket>;
  }

  async reply(number: number, data: unknown): Promise<void> {
    const delivery = await this.request(number);
    await this.#settle(delivery, replyText(delivery.value.id, data));
  }

  async fail(number: number, error: unknown): Promise<void> {
    const delivery = await this.request(number);
    await this.#settle(delivery, failureText(delivery.value.id, remoteErrorOf(error)));
  }

  /** Settles a request with any text as its reply. */
  async say(number: number, text: (packet: RequestPacket) => string): Promise<void> {
    const delivery = await this.request(number);
    await this.#settle(delivery, text(delivery.value));
  }

  async #handle(delivery: Delivery<RequestPacket>, handler: (packet: RequestPacket) => unknown): Promise<void> {
    const { id } = delivery.value;
    try {
      const result = handler(delivery.value);
      await this.#settle(delivery, replyText(id, result instanceof Promise ? await result : result));
    } catch (error) {
      await this.#settle(delivery, failureText(id, remoteErrorOf(error)));
    }
  }

  #settle(delivery: Delivery<RequestPacket>, text: string): Promise<boolean> {
    return delivery[share].receipt.settle({ verb: 'ack', reply: { channel: delivery.value.channel, text } });
  }
}
