import type { DeadLetterRecord, DriverConnection } from './driver.ts';
import { Readable } from './streams.ts';

/** How many are asked for at a time. */
const PAGE = 100;

/** An item that will not be delivered any more, as it was stored. */
export class DeadLetter {
  /** The item, byte for byte. */
  readonly bytes: Uint8Array;
  /** Why it came here. */
  readonly reason: string;
  /** When: milliseconds since 1970. */
  readonly time: number;
  /** How often it had been tried. */
  readonly attempts: number;
  readonly #queue: string;
  readonly #id: string;
  readonly #connection: DriverConnection;

  /** @internal */
  constructor(queue: string, record: DeadLetterRecord, connection: DriverConnection) {
    this.bytes = record.bytes;
    this.reason = record.reason;
    this.time = record.time;
    this.attempts = record.attempts;
    this.#queue = queue;
    this.#id = record.id;
    this.#connection = connection;
  }

  /** Puts it back into its queue, behind all others, as if it were new. Resolves with false where it is gone. */
  putBack(): Promise<boolean> {
    return this.#connection.putBack(this.#queue, this.#id);
  }

  /** Deletes it. Resolves with false where it is gone. */
  drop(): Promise<boolean> {
    return this.#connection.drop(this.#queue, this.#id);
  }
}

/** A Readable of the dead letters of a queue. */
export class DeadLetterStream extends Readable {
  readonly #queue: string;
  readonly #open: () => Promise<DriverConnection>;
  #last: string | undefined;

  /** @internal */
  constructor(queue: string, open: () => Promise<DriverConnection>) {
    super({ objectMode: true, highWaterMark: 1 });
    this.#queue = queue;
    this.#open = open;
  }

  override [Symbol.asyncIterator](): NodeJS.AsyncIterator<DeadLetter> {
    return super[Symbol.asyncIterator]() as NodeJS.AsyncIterator<DeadLetter>;
  }

  override _read(): void {
    this.#page().catch((error) => this.destroy(error));
  }

  async #page(): Promise<void> {
    const connection = await this.#open();
    const records = await connection.deadLetters(this.#queue, this.#last, PAGE);
    for (const record of records) this.push(new DeadLetter(this.#queue, record, connection));
    this.#last = records.at(-1)?.id;
    if (records.length < PAGE) this.push(null);
  }
}
