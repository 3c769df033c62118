import type { DriverConnection, Reply } from './driver.ts';

/** How many replies go together at most, and how long they are together before no more follow, in units of a string. */
const MOST = 256;
const LONGEST = 2 ** 20;

/** What goes to requesters before their requests are settled, in order: what comes while some is on its way goes together behind it. */
export class Outbox {
  readonly #driver: DriverConnection;
  readonly #queue: string | undefined;
  readonly #batches: Batch[] = [];
  #isSending = false;

  /** @param queue of the requests; none: a reply may be lost with a connection */
  constructor(driver: DriverConnection, queue?: string) {
    this.#driver = driver;
    this.#queue = queue;
  }

  /** Resolves when the broker has it; rejects when that refuses for good. What goes together has one promise. */
  send(reply: Reply): Promise<void> {
    let batch = this.#batches.at(-1);
    if (!batch || batch.isFull) {
      batch = new Batch();
      this.#batches.push(batch);
    }
    batch.add(reply);
    if (!this.#isSending) void this.#send();
    return batch.sent;
  }

  async #send(): Promise<void> {
    this.#isSending = true;
    // What is said in one turn goes together.
    await new Promise(setImmediate);
    for (let batch = this.#batches.shift(); batch; batch = this.#batches.shift()) {
      batch.answer(this.#driver.reply(batch.replies, this.#queue));
      await batch.sent.catch(() => {});
    }
    this.#isSending = false;
  }
}

class Batch {
  readonly replies: Reply[] = [];
  readonly sent: Promise<void>;
  #length = 0;
  #answer: (answer: Promise<void>) => void = () => {};

  constructor() {
    this.sent = new Promise((resolve) => {
      this.#answer = resolve;
    });
    this.sent.catch(() => {});
  }

  get isFull(): boolean {
    return this.replies.length >= MOST || this.#length >= LONGEST;
  }

  add(reply: Reply): void {
    this.replies.push(reply);
    this.#length += reply.text.length;
  }

  answer(answer: Promise<void>): void {
    this.#answer(answer);
  }
}
