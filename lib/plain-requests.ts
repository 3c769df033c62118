import { type Holder, Receipt, Share } from './delivery.ts';
import type { Consumer, DriverConnection, Held, Outcome, Reply } from './driver.ts';
import { isExpired, type Origin, Parting } from './origin.ts';
import { deadLetterText, type RequestPacket } from './packet.ts';

const NO_BYTES = Buffer.alloc(0);
const YES = Promise.resolve(true);
const NO = Promise.resolve(false);

/** How many replies may be on their way before no more requests are taken. */
const MOST = 1024;

/** A request that no broker holds. It is tried once. */
class Plain implements Held {
  readonly packet: RequestPacket;
  readonly bytes = NO_BYTES;
  readonly attempt = 1;
  owner: unknown = undefined;

  constructor(packet: RequestPacket) {
    this.packet = packet;
  }
}

const holder: Holder = {
  queue: '',
  maxAttempts: 1,
  backoff: () => 0,
  freed: () => {},
  unclaimed: () => {},
  settled: () => {},
};

/** Who has requests answered. */
export interface Answering {
  /** Gives the connection for the replies, when the first is needed. */
  open(): Promise<DriverConnection>;
  /** Called when replies have been sent. */
  sent(): void;
  /** Called when the broker refuses replies for good. */
  refused(error: Error): void;
}

/**
 * Requests that are plain values, taken for held: what settles one is sent to its requester, those of a turn of the event loop together.
 * One that is rejected, or retried, is answered as a dead letter would be; there is nowhere to release it to.
 */
export class PlainRequests implements Consumer, Origin {
  /** That of no stream: what was made of a request is stored before it is settled. */
  readonly connection = { now: () => this.#driver?.now() ?? Date.now() } as DriverConnection;
  readonly #answering: Answering;
  #driver: DriverConnection | undefined;
  #opening: Promise<void> | undefined;
  #replies: Reply[] = [];
  /** The answer to all replies of this turn. */
  #turn: Promise<boolean> | undefined;
  #parting: Parting | undefined;
  /** How many replies are on their way, and who waits until there are none. */
  #unsent = 0;
  #whenSent: (() => void) | undefined;

  constructor(answering: Answering) {
    this.#answering = answering;
  }

  get isReady(): boolean {
    return this.#driver !== undefined;
  }

  ready(): Promise<void> {
    this.#opening ??= this.#open();
    return this.#opening;
  }

  /** Whether so many replies are on their way that no more should follow. */
  get isFull(): boolean {
    return this.#unsent >= MOST;
  }

  wants(packet: RequestPacket): boolean {
    return !isExpired(packet, this.#driver);
  }

  shareOf(packet: RequestPacket): Share {
    return new Share(new Receipt(new Plain(packet), this, holder));
  }

  settle(held: Held, outcome: Outcome): Promise<boolean> {
    const { channel, id } = (held as Plain).packet;
    if (outcome.verb === 'ack') return outcome.reply ? this.#send(outcome.reply) : YES;
    return outcome.verb === 'reject' ? this.#send({ channel, text: deadLetterText(id, outcome.reason) }) : NO;
  }

  receive(): Promise<readonly Held[]> {
    return Promise.resolve([]);
  }

  cancel(): void {}

  handOver(): void {}

  get parting(): Parting {
    this.#parting ??= new Parting(this.#driver as DriverConnection);
    return this.#parting;
  }

  /** Resolves when no reply is on its way any more. */
  async close(): Promise<void> {
    this.#parting?.close();
    if (this.#unsent === 0) return;
    await new Promise<void>((resolve) => {
      this.#whenSent = resolve;
    });
  }

  async #open(): Promise<void> {
    this.#driver = await this.#answering.open();
  }

  #send(reply: Reply): Promise<boolean> {
    this.#unsent += 1;
    this.#replies.push(reply);
    this.#turn ??= new Promise((resolve) => {
      setImmediate(() => resolve(this.#flush()));
    });
    return this.#turn;
  }

  async #flush(): Promise<boolean> {
    const replies = this.#replies;
    this.#replies = [];
    this.#turn = undefined;
    try {
      await this.#driver?.reply(replies);
      return true;
    } catch (error) {
      this.#answering.refused(error as Error);
      return false;
    } finally {
      this.#unsent -= replies.length;
      this.#answering.sent();
      if (this.#unsent === 0) this.#whenSent?.();
    }
  }
}
