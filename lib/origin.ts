import { Desk } from './desk.ts';
import type { Cancellations, DriverConnection } from './driver.ts';
import { Outbox } from './outbox.ts';
import type { RequestPacket } from './packet.ts';

/** Where requests come from. */
export interface Origin {
  /** Whether it is known which of its requests are wanted. */
  readonly isReady: boolean;
  /** Resolves when that is so. Rejects when it will never be. */
  ready(): Promise<void>;
  /** Whether somebody waits for the answer to a request. */
  wants(packet: RequestPacket): boolean;
  /** Where replies in parts go by. Only while it is ready. */
  readonly parting: Parting;
}

/** What replies in parts need of a connection. */
export class Parting {
  readonly desk: Desk;
  readonly outbox: Outbox;

  /** @param queue of the requests; none: a part may be lost with a connection, and fails its request */
  constructor(driver: DriverConnection, queue?: string) {
    this.desk = Desk.enter(driver);
    this.outbox = new Outbox(driver, queue);
  }

  close(): void {
    this.desk.leave();
  }
}

/** Whether the time of a request is over, by the broker's clock. */
export function isExpired({ deadline }: RequestPacket, connection: DriverConnection | undefined): boolean {
  return deadline !== undefined && connection !== undefined && deadline <= connection.now();
}

/** A queue of a connection, of which it watches what is cancelled. */
export class RequestQueue implements Origin {
  readonly connection: DriverConnection;
  readonly name: string;
  readonly #onCancelled: (request: string) => void;
  #cancellations: Cancellations | undefined;
  #opening: Promise<void> | undefined;
  #parting: Parting | undefined;
  isReady = false;

  /** @param onCancelled called with the name of a request that nobody waits for any more */
  constructor(connection: DriverConnection, name: string, onCancelled: (request: string) => void) {
    this.connection = connection;
    this.name = name;
    this.#onCancelled = onCancelled;
  }

  ready(): Promise<void> {
    this.#opening ??= this.#open();
    return this.#opening;
  }

  wants(packet: RequestPacket): boolean {
    return !isExpired(packet, this.connection) && !this.#cancellations?.has(packet);
  }

  get parting(): Parting {
    this.#parting ??= new Parting(this.connection, this.name);
    return this.#parting;
  }

  close(): void {
    this.#cancellations?.close();
    this.#parting?.close();
  }

  async #open(): Promise<void> {
    this.#cancellations = this.connection.cancellations(this.name, this.#onCancelled);
    // Who can't be told what is cancelled can answer, all the same.
    await this.#cancellations.ready.catch(() => {});
    this.isReady = true;
  }
}
