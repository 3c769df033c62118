import { randomBytes } from 'node:crypto';
import type { ConsumerOptions } from '../../driver.ts';
import { MillraceError } from '../../errors.ts';
import type { RedisClients } from './clients.ts';
import type { QueueKeys } from './keys.ts';
import { clock } from './scripts/index.ts';

/** How many signs of life there are in the time of a lease: so many that an event loop may be busy for two thirds of it. */
const BEATS = 6;

/** How long after the end of another's lease it is looked at, in milliseconds. */
const AFTER_END = 5;

/** What a script says of a consumer that is not what it was. */
const CLEARED_AWAY = -1;
const REPLACED = -2;

/** What answers a sign of life, as its script says. */
type Beat = readonly [standing: number, nextEnd: number, isLate: number, comesAgain: number, due: number];

/** Who is told of a {@link Lease}. */
interface LeaseEvents {
  /** The consumer is found to have been cleared away, or replaced. */
  end(): void;
  /** It has given a sign of life. */
  beat(): void;
}

/**
 * A consumer's right to what it holds: a record under its name, with an incarnation that every script checks, and with a time by
 * the server's clock up to which nobody takes it away. Who has a lease clears away those whose lease has ended.
 */
export class Lease {
  readonly name: string;
  readonly #clients: RedisClients;
  readonly #keys: QueueKeys;
  readonly #options: ConsumerOptions;
  readonly #signal: AbortSignal;
  readonly #on: LeaseEvents;
  #incarnation = newIncarnation();
  /** The incarnation before, which was cleared away. */
  #former = '';
  #joining: Promise<void> | undefined;
  #isJoined = false;
  #isLeft = false;
  #beating: Promise<void> | undefined;
  #interval: NodeJS.Timeout | undefined;
  #next: NodeJS.Timeout | undefined;
  #fenced: MillraceError | undefined;
  /** When it was last heard again after it had not been for long: the server may have hung. */
  #late = Number.NEGATIVE_INFINITY;

  /**
   * @param signal aborted when it is not wanted any more
   */
  constructor(clients: RedisClients, keys: QueueKeys, options: ConsumerOptions, signal: AbortSignal, on: LeaseEvents) {
    this.name = options.name ?? newIncarnation();
    this.#clients = clients;
    this.#keys = keys;
    this.#options = options;
    this.#signal = signal;
    this.#on = on;
  }

  get incarnation(): string {
    return this.#incarnation;
  }

  get inProcess(): string {
    return this.#keys.inProcess(this.name);
  }

  get landing(): string {
    return this.#keys.landing(this.#incarnation);
  }

  get parcels(): string {
    return this.#keys.parcels(this.#incarnation);
  }

  get isJoined(): boolean {
    return this.#isJoined;
  }

  /** Resolves when it has begun. */
  join(): Promise<void> {
    this.#joining ??= this.#join().catch((error) => {
      this.#joining = undefined;
      throw error;
    });
    return this.#joining;
  }

  /** Whether a script has found that all is as it was; sees to it where not. */
  stands(answer: unknown, incarnation: string): boolean {
    if (answer !== CLEARED_AWAY && answer !== REPLACED) return true;
    if (incarnation === this.#incarnation) this.#end(answer === REPLACED);
    return false;
  }

  /** Gives a sign of life, and clears away those who gave none. */
  beat(): Promise<void> {
    this.#beating ??= this.#beat().finally(() => {
      this.#beating = undefined;
    });
    return this.#beating;
  }

  /** Lets go of it: what is still held goes back. */
  async leave(signal: AbortSignal): Promise<void> {
    this.#isLeft = true;
    // What is on its way to join must not arrive behind this.
    await this.#joining?.catch(() => {});
    this.#stop();
    const { consumers, base, wake } = this.#keys;
    // Who has not begun anew leaves as who it was.
    const incarnation = this.#former || this.#incarnation;
    await this.#clients.run((client) => client.millraceLeave(consumers, base, wake, this.name, incarnation), signal);
  }

  async #join(): Promise<void> {
    if (this.#fenced) throw this.#fenced;
    const { consumers, base, wake } = this.#keys;
    const { leaseTimeout, maxAttempts } = this.#options;
    const incarnation = this.#incarnation;
    const standing = await this.#clients.run((client) => {
      const who = [this.name, incarnation, leaseTimeout, maxAttempts, this.#former];
      return client.millraceJoin(consumers, clock.offset, base, wake, ...who);
    }, this.#signal);
    if (!this.stands(standing, incarnation)) throw this.#fenced;
    this.#former = '';
    this.#isJoined = true;
    this.#stop();
    if (this.#isLeft) return;
    this.#interval = setInterval(() => void this.beat(), Math.max(10, Math.floor(leaseTimeout / BEATS)));
    void this.beat();
  }

  async #beat(): Promise<void> {
    const { client } = this.#clients;
    if (!client || this.#isLeft) return;
    const { consumers, base, wake } = this.#keys;
    const { leaseTimeout, maxAttempts } = this.#options;
    const incarnation = this.#incarnation;
    // After an outage nobody is cleared away before all had the time to say that they live.
    const isOnTime = performance.now() - this.#late >= leaseTimeout;
    const mayClear = isOnTime && this.#clients.isSettled(leaseTimeout) ? '1' : '0';
    const who = [this.name, incarnation, leaseTimeout, maxAttempts, mayClear];
    try {
      this.#hear(await client.millraceBeat(consumers, clock.offset, base, wake, ...who), incarnation);
    } catch {
      // The next one says the same.
    }
  }

  /** Does what the answer to a sign of life asks for. */
  #hear([standing, nextEnd, isLate, comesAgain, due]: Beat, incarnation: string): void {
    const { wake } = this.#keys;
    if (isLate) this.#late = performance.now();
    // Whoever may not publish has told nobody.
    if (comesAgain) this.#clients.wakes.hear(wake, 'again');
    if (due >= 0) this.#clients.wakes.hear(wake, `due ${due}`);
    if (!this.stands(standing, incarnation) || this.#isLeft) return;
    this.#on.beat();
    if (nextEnd < 0) return;
    clearTimeout(this.#next);
    if (nextEnd >= this.#options.leaseTimeout) return;
    this.#next = setTimeout(() => void this.beat(), nextEnd + AFTER_END);
  }

  #stop(): void {
    clearInterval(this.#interval);
    clearTimeout(this.#next);
  }

  #end(replaced: boolean): void {
    this.#stop();
    if (replaced) {
      const message = `Another consumer of queue "${this.#keys.queue}" has started under the name "${this.name}"`;
      this.#fenced = new MillraceError('FENCED', message);
    } else {
      this.#former = this.#incarnation;
      this.#incarnation = newIncarnation();
    }
    this.#joining = undefined;
    this.#isJoined = false;
    this.#on.end();
  }
}

function newIncarnation(): string {
  return randomBytes(12).toString('base64url');
}
