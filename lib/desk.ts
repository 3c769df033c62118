import { randomBytes } from 'node:crypto';
import type { CancelledRequest, DriverConnection, Inbox, Reply } from './driver.ts';
import {
  type CreditPacket,
  isCredit,
  isPart,
  isProgress,
  isReply,
  type PartPacket,
  type ProgressPacket,
  packetsIn,
  type ReplyPacket,
} from './packet.ts';

/** Who waits for the reply to a request. */
export interface Asked {
  /** Its desk's: where the reply finds it, and under which id. */
  slot: number;
  id: string;
  answered(reply: ReplyPacket): void;
  /** Called when it will not be answered: the broker has lost it on its way, or its answer. */
  lost(): void;
  /** Gives whether the part was to be expected. */
  part(part: PartPacket): boolean;
  progressed(progress: ProgressPacket): void;
}

/** Who sends a reply in parts. */
export interface Run {
  credit(credit: CreditPacket): void;
}

const desks = new WeakMap<DriverConnection, Desk>();

/** Where all comes in that is said to a connection: the replies to its requests, and how much of its own replies is taken. */
export class Desk {
  readonly driver: DriverConnection;
  /** Where its connection is told what; the same in JSON. */
  readonly channel: string;
  readonly channelText: string;
  readonly #inbox: Inbox;
  #onStray: ((packets: number) => void) | undefined;
  /** The requests that are to be answered, each where its id says, and the places that are free. */
  readonly #slots: (Asked | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #runs = new Map<string, Run>();
  /** What is to be said, by run: of each only what was said last. */
  readonly #unsaid = new Map<string, Reply>();
  #isSaying = false;
  /** The looks of this turn at who is there to work on requests, by queue. */
  readonly #looks = new Map<string, Promise<boolean>>();
  #users = 0;

  /**
   * The desk of a connection, for one more user until it is {@link leave left}.
   *
   * @param onStray called with how many packets were for nobody
   */
  static enter(driver: DriverConnection, onStray?: (packets: number) => void): Desk {
    const desk = desks.get(driver) ?? new Desk(driver);
    desks.set(driver, desk);
    desk.#users += 1;
    desk.#onStray ??= onStray;
    return desk;
  }

  constructor(driver: DriverConnection) {
    this.driver = driver;
    this.#inbox = driver.inbox(
      (message) => this.#receive(message),
      (ids) => this.#lose(ids),
    );
    this.channel = this.#inbox.channel;
    this.channelText = JSON.stringify(this.channel);
  }

  leave(): void {
    this.#users -= 1;
    if (this.#users > 0) return;
    desks.delete(this.driver);
    this.#inbox.close();
  }

  watch(queue: string): () => void {
    return this.#inbox.watch(queue);
  }

  /** Gives a request its id, under which a reply finds it. */
  add(asked: Asked): void {
    asked.slot = this.#free.pop() ?? this.#slots.length;
    asked.id = nextId(asked.slot);
    this.#slots[asked.slot] = asked;
  }

  delete(asked: Asked): void {
    if (asked.slot < 0) return;
    this.#slots[asked.slot] = undefined;
    this.#free.push(asked.slot);
    asked.slot = -1;
  }

  /** Takes up a reply in parts, and gives it a name that nobody can guess, by which it is found. */
  begin(run: Run): string {
    const name = randomBytes(12).toString('base64url');
    this.#runs.set(name, run);
    return name;
  }

  end(name: string): void {
    this.#runs.delete(name);
  }

  /** Tells who sends a reply in parts how much of it is taken. That it is heard is not certain: it is to be said again. */
  say(channel: string, credit: CreditPacket): void {
    this.#unsaid.set(credit.run, { channel, text: JSON.stringify(credit) });
    if (!this.#isSaying) void this.#sayAll();
  }

  /** One message at a time: while the broker is away there shall not be more and more of them. */
  async #sayAll(): Promise<void> {
    this.#isSaying = true;
    // What is said in one turn goes together.
    await new Promise(setImmediate);
    while (this.#unsaid.size > 0) {
      const all = [...this.#unsaid.values()];
      this.#unsaid.clear();
      await this.driver.reply(all).catch(() => {});
    }
    this.#isSaying = false;
  }

  /** Resolves when the broker knows that nobody wants a request answered, or never will. */
  async cancel(queue: string, request: Omit<CancelledRequest, 'channel'>): Promise<void> {
    try {
      await this.driver.cancel(queue, { ...request, channel: this.channel });
    } catch {
      // Its deadline says the same, later.
    }
  }

  /** Whether a queue has consumers, as far as can be told. */
  isServed(queue: string): Promise<boolean> {
    const before = this.#looks.get(queue);
    if (before) return before;
    const look = this.driver.inspect(queue).then(
      ({ consumers }) => consumers.length > 0,
      () => true,
    );
    this.#looks.set(queue, look);
    setImmediate(() => this.#looks.delete(queue));
    return look;
  }

  #receive(message: string): void {
    let stray = 0;
    for (const packet of packetsIn(message)) if (!this.#take(packet)) stray += 1;
    if (stray > 0) this.#onStray?.(stray);
  }

  /** Gives whether a packet was for somebody here. */
  #take(packet: unknown): boolean {
    if (isReply(packet)) {
      const asked = this.#find(packet.id);
      asked?.answered(packet);
      return asked !== undefined;
    }
    if (isPart(packet)) return this.#find(packet.id)?.part(packet) ?? false;
    // What comes after the end of these is no fault: it was said before that was known.
    if (isProgress(packet)) {
      this.#find(packet.id)?.progressed(packet);
      return true;
    }
    if (!isCredit(packet)) return false;
    this.#runs.get(packet.run)?.credit(packet);
    return true;
  }

  #lose(ids: readonly string[]): void {
    for (const id of ids) this.#find(id)?.lost();
  }

  #find(id: string): Asked | undefined {
    const asked = this.#slots[Number.parseInt(id, 36)];
    return asked?.id === id ? asked : undefined;
  }
}

/** How many ids have been given: so each is of one generation, and none is given twice in the process. */
let generation = 0;

function nextId(slot: number): string {
  generation += 1;
  return `${slot.toString(36)}-${generation.toString(36)}`;
}
