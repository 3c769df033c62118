import type { Consumer, ConsumerOptions, DriverConnection, Held, Outcome } from '../../driver.ts';
import { type RedisClients, unboundedAbortController } from './clients.ts';
import { ConsumerCommands } from './consumer-commands.ts';
import { type Found, Holdings } from './holdings.ts';
import type { QueueKeys } from './keys.ts';
import { LandingWait } from './landing-wait.ts';
import { Lease } from './lease.ts';
import { Parcel, type RedisHeld, type Take } from './parcel.ts';
import { aborted } from './promises.ts';
import { isAnswer } from './refusals.ts';
import { type Settlement, settlementOf } from './settlement.ts';
import { TakingWait } from './taking-wait.ts';
import { Turns } from './turns.ts';
import type { Wait } from './wait.ts';
import { waitOnce } from './waiting.ts';

/** For how many milliseconds something may be carried out late, that was on its way when its connection broke. */
const LATE = 60_000;

/** After how many waits in a row that brought a lone item the next is waited for as one that may be handed over as soon as it has landed. */
const ALONE = 3;

/** A call of `receive`. */
interface Call {
  readonly max: number;
  /** Whether a handler waits for the first of what comes. */
  readonly atOnce: boolean;
  isCancelled: boolean;
}

/**
 * Takes items and holds them under a lease. It asks with the client for commands; only to wait for an item does it borrow one that may
 * block: an item lands beside what it holds then, and is taken from there.
 */
export class RedisConsumer implements Consumer {
  readonly connection: DriverConnection;
  readonly #clients: RedisClients;
  readonly #keys: QueueKeys;
  readonly #lease: Lease;
  readonly #holdings: Holdings;
  readonly #turns: Turns;
  readonly #landingWait: LandingWait;
  readonly #takingWait: TakingWait;
  readonly #onLost: (items: readonly Held[]) => void;
  readonly #closing = unboundedAbortController();
  readonly #unwatch: () => void;
  /** The last call; and when it is over, while it is under way. */
  #call: Call = { max: 0, atOnce: false, isCancelled: false };
  #receiving: Promise<void> | undefined;
  /** What ends the wait under way, and how many have failed one after the other. */
  #waiting = new AbortController();
  #failures = 0;
  /** When a wait was last broken off, which may have brought something, or may yet, and nobody hears of it; and the look for that. */
  #brokeAt = Number.NEGATIVE_INFINITY;
  #looking: Promise<void> | undefined;
  /** Whether more can be had, or less is held, than when it was last asked; and who is told. */
  #isWoken = false;
  #isFreed = false;
  #onChange: (() => void) | undefined;
  /** Whether what was received last was all that there was: who asks next had better wait. */
  #isDry = false;
  /** How many waits, one after the other, have brought a lone item. */
  #alone = 0;
  #closed: Promise<void> | undefined;

  constructor(connection: DriverConnection, clients: RedisClients, keys: QueueKeys, options: ConsumerOptions) {
    this.connection = connection;
    this.#clients = clients;
    this.#keys = keys;
    this.#onLost = options.onLost;
    this.#holdings = new Holdings(options.maxAttempts, () => this.#free());
    this.#lease = new Lease(clients, keys, options, this.#closing.signal, {
      end: () => this.#lose(),
      beat: () => this.#lookForUnheard(),
    });
    const commands = new ConsumerCommands(keys, this.#lease);
    this.#turns = new Turns(clients, this.#lease, commands, this.#holdings, this.#closing.signal);
    this.#landingWait = new LandingWait(keys.queue, this.#lease, this.#turns, this.#holdings);
    this.#takingWait = new TakingWait(keys.queue, this.#lease, this.#turns, this.#holdings, commands);
    clients.retain();
    this.#unwatch = clients.wakes.watch(keys, () => this.#wake());
    this.#lease.join().catch(() => {});
  }

  receive(max: number, atOnce = false): Promise<readonly RedisHeld[]> {
    const call: Call = { max, atOnce, isCancelled: false };
    this.#call = call;
    const items = this.#receive(call);
    const end = (): void => {
      if (this.#call === call) this.#receiving = undefined;
    };
    this.#receiving = items.then(end, end);
    return items;
  }

  cancel(): void {
    this.#call.isCancelled = true;
    this.#wake();
  }

  handOver(held: Held): void {
    const handed = this.#holdings.handOver(held as RedisHeld);
    if (handed) this.#turns.handOver(handed);
  }

  settle(held: Held, outcome: Outcome): Promise<boolean> {
    return this.#turns.settle(held as RedisHeld, outcome);
  }

  close(giveUp: AbortSignal = new AbortController().signal): Promise<void> {
    this.#closed ??= this.#close(giveUp);
    return this.#closed;
  }

  /** The keys and arguments with which a script settles items as it does something else; nothing where they are not held. */
  settlement(items: readonly Held[]): Settlement | undefined {
    return settlementOf(items as readonly RedisHeld[], this.#keys, this.#lease, this.#holdings);
  }

  async #receive(call: Call): Promise<readonly RedisHeld[]> {
    if (this.#looking) await this.#looking;
    while (!call.isCancelled && !this.#closed) {
      const isDry = this.#isDry && !this.#isWoken;
      this.#isDry = false;
      this.#isWoken = false;
      this.#isFreed = false;
      const found = this.#holdings.hasSuspect ? 'suspect' : isDry ? undefined : await this.#ask(call);
      if (found instanceof Parcel) return this.#itemsOf(found);
      // What has happened meanwhile may have made the answer untrue.
      if (this.#isWoken || call.isCancelled) continue;
      if (found === 'suspect') {
        if (!this.#isFreed) await this.#change();
      } else {
        const landed = await this.#wait(call, isDry);
        if (landed) return this.#itemsOf(landed);
      }
    }
    return [];
  }

  #itemsOf(parcel: Parcel): readonly RedisHeld[] {
    this.#isDry = parcel.isAll;
    return parcel.items;
  }

  /** Resolves when less is held, or something comes again, or the call is cancelled. */
  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#onChange = resolve;
    });
  }

  /** Takes what there is, together with what else there is to say. */
  #ask({ max, atOnce }: Call): Promise<Found> {
    return this.#turns.take(this.#holdings.nextTake(max, atOnce));
  }

  /**
   * Waits until an item has landed, or there may be something else to take, and takes what there is.
   *
   * @param isDry whether that is at once behind a take: then what the handlers answer in this turn goes along
   */
  async #wait(call: Call, isDry: boolean): Promise<Parcel | undefined> {
    if (this.#waiting.signal.aborted) this.#waiting = new AbortController();
    const { signal } = this.#waiting;
    if (isDry) this.#turns.expectWait();
    try {
      for (;;) {
        const { incarnation } = this.#lease;
        const take = this.#holdings.nextTake(call.max, call.atOnce);
        const wait: Wait = this.#mayLand(take) ? this.#landingWait : this.#takingWait;
        const answer = await waitOnce(this.#clients, signal, (client, ms) => wait.say(client, ms, take, signal));
        this.#failures = 0;
        if (answer === undefined) return undefined;
        const found = wait.hold(take, answer, incarnation);
        if (found instanceof Parcel) {
          const isAlone = found.items.length === 1 && (found.isAll || call.max === 1);
          this.#alone = isAlone ? this.#alone + 1 : 0;
          return found;
        }
        // Where the lease was found to have ended, the signal is aborted.
        if (!wait.seesAll || found === 'suspect' || signal.aborted) return undefined;
      }
    } catch (error) {
      await this.#recover(error, call, signal);
      return undefined;
    } finally {
      this.#turns.endWait();
    }
  }

  /** Whether the next item may be handed over as it has landed: the only one there, which nothing can land beside that nobody hears of. */
  #mayLand(take: Take): boolean {
    return this.#alone >= ALONE && !this.#isLate && this.#holdings.mayLand(take);
  }

  /** Whether something may yet be carried out of a wait that was broken off. */
  get #isLate(): boolean {
    return performance.now() - this.#brokeAt <= LATE;
  }

  /** Waits a little after a wait that failed, if it is still wanted; rejects where it is in vain. */
  async #recover(error: unknown, call: Call, signal: AbortSignal): Promise<void> {
    if (!isAnswer(error)) this.#brokeAt = performance.now();
    this.#alone = 0;
    this.#turns.doubtServer();
    if (call.isCancelled || signal.aborted) return;
    await this.#clients.recover(error, this.#failures, this.#closing.signal);
    this.#failures += 1;
  }

  /** Gives back what a wait has brought of which nobody has heard, where nobody asks: who does has it. */
  #lookForUnheard(): void {
    if (this.#receiving || this.#looking || this.#closed || !this.#isLate) return;
    this.#looking = this.#giveBackUnheard()
      .catch(() => {})
      .finally(() => {
        this.#looking = undefined;
      });
  }

  async #giveBackUnheard(): Promise<void> {
    const found = await this.#ask({ max: 0, atOnce: false, isCancelled: false });
    if (!(found instanceof Parcel)) return;
    for (const item of this.#itemsOf(found)) this.settle(item, { verb: 'release' }).catch(() => {});
  }

  /** Something comes again: who waits for the queue looks. */
  #wake(): void {
    this.#isWoken = true;
    this.#waiting.abort();
    this.#onChange?.();
  }

  /** Less is held: what is to be alone may be had. */
  #free(): void {
    this.#isFreed = true;
    this.#onChange?.();
  }

  /** The lease has ended: what was held is with others. */
  #lose(): void {
    const items = this.#holdings.empty();
    this.#turns.lose();
    this.#wake();
    if (items.length > 0) this.#onLost(items);
  }

  async #close(giveUp: AbortSignal): Promise<void> {
    this.cancel();
    const abandon = (): void => this.#closing.abort();
    giveUp.addEventListener('abort', abandon);
    if (giveUp.aborted) abandon();
    // What has been settled is said first; and no pop may land an item behind our back.
    await this.#turns.close();
    await Promise.race([this.#receiving, aborted(this.#closing.signal)]);
    await this.#lease.leave(this.#closing.signal).catch(() => {});
    giveUp.removeEventListener('abort', abandon);
    this.#closing.abort();
    this.#unwatch();
    this.#clients.release();
  }
}
