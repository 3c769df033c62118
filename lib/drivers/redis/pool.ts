import genericPool, { type Pool } from 'generic-pool';
import type { Redis } from 'ioredis';
import type { Side } from '../../driver.ts';
import { inOneWrite } from './link.ts';
import { isAnswer } from './refusals.ts';

/** How long one pop waits at most, in milliseconds: half of what a client's silence may last. */
const LONGEST_POP = 1500;

/** How long a stream that must wait for its turn should wait at most, and how short turns may get for it. */
const LONGEST_WAIT = 1000;
const SHORTEST_TURN = 20;

/** How long a client that nobody waits with is kept, and how often that is looked at, in milliseconds. */
const IDLE = 5000;

/** How long generic-pool lets somebody wait for a client before it says so; whoever waits then asks again. */
const ACQUIRE_TIMEOUT = 60_000;

/** A list, and what was popped from it. */
export type Popped = [list: Buffer, items: Buffer[]];

/** What a move has moved, and what answers that which was sent behind it. */
export type Moved<Answer> = [moved: PromiseSettledResult<Buffer | null>, answered: PromiseSettledResult<Answer>];

/** A client of its own for pops that block. One connection is one life: after any error it is thrown away. */
export class BlockingClient {
  readonly #redis: Redis;
  #id: number | undefined;
  #waiting = false;
  #opening: Promise<void> | undefined;
  #isOpen = false;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Whether it has connected: who opens it need not wait. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Whether it can still be used. */
  get alive(): boolean {
    return !this.#opening || this.#redis.status === 'ready';
  }

  /** Connects, the first time. Who asked for it may be gone when it is done: the next one waits for the same. */
  open(): Promise<void> {
    this.#opening ??= this.#open();
    return this.#opening;
  }

  /** Takes 1 to `max` items from the first list that has any, waiting for at most `milliseconds`. */
  pop(lists: readonly string[], side: Side, max: number, milliseconds: number): Promise<Popped | null> {
    const end = side === 'left' ? 'LEFT' : 'RIGHT';
    return this.#block(
      'BLMPOP',
      milliseconds / 1000,
      lists.length,
      ...lists,
      end,
      'COUNT',
      max,
    ) as Promise<Popped | null>;
  }

  /**
   * Moves the rightmost item of a list to the left of another, waiting for one for at most `milliseconds`; gives what is sent right
   * behind that, in the same write, and carried out as soon as the wait is over. What is sent `before` goes along, too.
   */
  async moveThen<Answer>(
    from: string,
    to: string,
    milliseconds: number,
    next: (redis: Redis) => Promise<Answer>,
    before: (redis: Redis) => void = () => {},
  ): Promise<Moved<Answer>> {
    const answers = inOneWrite(this.#redis, (): [Promise<Buffer | null>, Promise<Answer>] => {
      before(this.#redis);
      const moving = this.#block('BLMOVE', from, to, 'RIGHT', 'LEFT', milliseconds / 1000) as Promise<Buffer | null>;
      return [moving, next(this.#redis)];
    });
    return await Promise.allSettled(answers);
  }

  /**
   * Cuts the pop under way short, without losing what it may have taken. Redis answers 0 when the pop has not arrived yet, or
   * is answered already: so this is repeated until it takes, or the pop is over. `commands` has the client to say it with.
   */
  async unblock(commands: { readonly client: Redis | undefined }): Promise<void> {
    for (let attempt = 0; this.#waiting && this.#id !== undefined; attempt += 1) {
      try {
        // Without a connection, or the permission, the pop ends by itself.
        if (!commands.client || (await commands.client.client('UNBLOCK', this.#id)) === 1) return;
      } catch {
        return;
      }
      if (attempt > 10) await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  close(): void {
    this.#redis.disconnect();
  }

  async #open(): Promise<void> {
    await this.#redis.connect();
    this.#id = await this.#redis.client('ID').catch((error) => {
      // Without the permission a pop can't be cut short: it is waited out.
      if (isAnswer(error)) return undefined;
      throw error;
    });
    this.#isOpen = true;
  }

  async #block(command: string, ...args: (string | number)[]): Promise<unknown> {
    this.#waiting = true;
    try {
      return await this.#redis.callBuffer(command, ...args);
    } finally {
      this.#waiting = false;
    }
  }
}

/** The blocking clients of one connection, in the care of generic-pool. */
export class BlockingPool {
  readonly #pool: Pool<BlockingClient>;
  readonly #max: number;
  readonly #clients = new Set<BlockingClient>();
  /** A client that has just been released: generic-pool has it back unless somebody waits on with it at once. */
  #spare: BlockingClient | undefined;
  #warned = false;

  constructor(newClient: () => Redis, max: number) {
    this.#max = max;
    // `create` never fails and never waits, for generic-pool would try again in a busy loop: who borrows a client opens it.
    const factory = {
      create: async () => {
        const client = new BlockingClient(newClient());
        this.#clients.add(client);
        return client;
      },
      destroy: async (client: BlockingClient) => {
        // generic-pool does so again, at each clear(), until somebody borrows what it has destroyed.
        if (this.#clients.delete(client)) client.close();
      },
    };
    this.#pool = genericPool.createPool(factory, {
      max,
      idleTimeoutMillis: IDLE,
      evictionRunIntervalMillis: IDLE,
      acquireTimeoutMillis: ACQUIRE_TIMEOUT,
    });
  }

  get size(): number {
    return this.#pool.size;
  }

  /** How many wait for a client. */
  get waiting(): number {
    return this.#pool.pending;
  }

  /** How long the next pop may wait, in milliseconds: shorter where others wait for their turn. */
  get turn(): number {
    const waiting = this.#pool.pending;
    if (waiting === 0) return LONGEST_POP;
    return Math.max(SHORTEST_TURN, Math.floor((LONGEST_WAIT * this.#max) / (this.#max + waiting)));
  }

  /** A client that can be used, in the order asked. */
  async acquire(): Promise<BlockingClient> {
    this.#releaseSpare();
    if (this.#pool.borrowed >= this.#max) this.#warn();
    for (;;) {
      const client = await this.#pool.acquire().catch((error) => {
        if (error.name !== 'TimeoutError') throw error;
      });
      if (client?.alive) return client;
      if (client) await this.#pool.destroy(client);
    }
  }

  /** The client that was released in this turn of the event loop, if there is one: that costs less than {@link acquire}. */
  reuse(): BlockingClient | undefined {
    if (!this.#spare?.alive) return undefined;
    const client = this.#spare;
    this.#spare = undefined;
    return client;
  }

  release(client: BlockingClient): void {
    this.#releaseSpare();
    this.#spare = client;
    if (this.#pool.pending > 0 || !client.isOpen) this.#releaseSpare();
    else setImmediate(() => this.#releaseSpare());
  }

  /** Throws a borrowed client away. */
  destroy(client: BlockingClient): void {
    void this.#pool.destroy(client);
  }

  /** Closes the clients that nobody waits with. */
  async clear(): Promise<void> {
    this.#releaseSpare();
    await this.#pool.clear();
  }

  /** Closes every client at once, also those that are borrowed: what they wait for fails, and so they come back. */
  async close(): Promise<void> {
    for (const client of this.#clients) client.close();
    await this.#pool.drain();
    await this.#pool.clear();
  }

  #releaseSpare(): void {
    if (!this.#spare) return;
    void this.#pool.release(this.#spare);
    this.#spare = undefined;
  }

  #warn(): void {
    if (this.#warned) return;
    this.#warned = true;
    process.emitWarning(
      `More streams wait for items than maxClients (${this.#max}) allows clients: they take turns, which costs time`,
      { code: 'MILLRACE_MAX_CLIENTS' },
    );
  }
}
