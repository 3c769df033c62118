import type { Redis } from 'ioredis';
import type { Consumer, ConsumerOptions, DriverConnection, Held, Outcome, Reply } from '../../driver.ts';
import { messagesOf } from '../../packet.ts';
import { type RedisClients, unboundedAbortController } from './clients.ts';
import type { Handed } from './handing.ts';
import { type Found, Holdings } from './holdings.ts';
import type { QueueKeys } from './keys.ts';
import { Lease } from './lease.ts';
import { Parcel, type RedisHeld, type Take, type Taken } from './parcel.ts';
import type { BlockingClient } from './pool.ts';
import { isAnswer } from './refusals.ts';
import { clock } from './scripts/index.ts';
import { type Settlement, settlementOf } from './settlement.ts';
import { waitOnce } from './waiting.ts';

/** For how many turns of the event loop settlements wait for more, where there are many. */
const PATIENCE = 3;

/** For how many milliseconds something may be carried out late, that was on its way when its connection broke. */
const LATE = 60_000;

const NO = Promise.resolve(false);

/** A promise, and what settles it. */
interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(reason: unknown): void;
}

function deferred<T>(): Deferred<T> {
  let resolve: Deferred<T>['resolve'] = () => {};
  let reject: Deferred<T>['reject'] = () => {};
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

/** A call of `receive`. */
interface Call {
  readonly max: number;
  /** Whether a handler waits for the first of what comes. */
  readonly atOnce: boolean;
  isCancelled: boolean;
}

/** A take whose caller waits for it. */
interface AwaitedTake extends Take {
  readonly found: Deferred<Found>;
}

/** What goes to the server together, in one round trip, as often as it takes: each part is carried out once. */
interface Turn {
  /** What is said of what is held; nothing once that is lost. */
  settlement: TurnSettlement | undefined;
  readonly take: AwaitedTake | undefined;
  /** What the take has found. */
  found: Found;
}

interface TurnSettlement {
  readonly incarnation: string;
  readonly handed: Handed | undefined;
  readonly acknowledged: ReadonlyMap<Parcel, Buffer>;
  readonly count: number;
  readonly replies: readonly Reply[];
  readonly returned: readonly Returned[];
  readonly settling: Deferred<boolean> | undefined;
}

interface Returned {
  readonly item: RedisHeld;
  readonly outcome: Exclude<Outcome, { verb: 'ack' }>;
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
  readonly #onLost: (items: readonly Held[]) => void;
  readonly #closing = unboundedAbortController();
  readonly #unwatch: () => void;
  /** The call under way, and what ends its waiting. */
  #call: Call = { max: 0, atOnce: false, isCancelled: false };
  #waiting: AbortController | undefined;
  #isReceiving = false;
  #failures = 0;
  /** When a wait was last broken off, which may have brought something, or may yet, and nobody hears of it; and the look for that. */
  #brokeAt = Number.NEGATIVE_INFINITY;
  #looking: Promise<void> | undefined;
  /** Whether more can be had, or less is held, than when it was last asked; and who is told. */
  #isWoken = false;
  #isFreed = false;
  /** Whether what was received last was all that there was: who asks next had better wait. */
  #isDry = false;
  /** Whether a wait is about to be said, and answers may go along; whether the server knows the script for them. */
  #isAboutToWait = false;
  #hasAnswered = false;
  #onChange: (() => void) | undefined;
  // The next turn:
  #handed: Handed | undefined;
  #acknowledged: Parcel[] = [];
  #count = 0;
  #replies: Reply[] = [];
  #returned: Returned[] = [];
  #settling: Deferred<boolean> | undefined;
  #take: AwaitedTake | undefined;
  #scheduled = false;
  #turning: Promise<void> | undefined;
  #current: Promise<unknown> = Promise.resolve();
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
    clients.retain();
    this.#unwatch = clients.wakes.watch(keys, () => this.#wake());
    this.#lease.join().catch(() => {});
  }

  receive(max: number, atOnce = false): Promise<readonly RedisHeld[]> {
    const call: Call = { max, atOnce, isCancelled: false };
    this.#call = call;
    this.#isReceiving = true;
    const receiving = this.#receive(call);
    const end = (): void => {
      if (this.#call === call) this.#isReceiving = false;
    };
    this.#current = receiving.then(end, end);
    return receiving;
  }

  cancel(): void {
    this.#call.isCancelled = true;
    this.#wake();
  }

  handOver(held: Held): void {
    const item = held as RedisHeld;
    const handed = this.#holdings.handOver(item);
    if (handed === undefined) return;
    this.#handed = handed;
    // Before the handler sees it, this is on its way: the server reads it though the process may die of the item. By itself, for
    // no turn should wait for its answer.
    this.#sayHanded();
    if (this.#handed) this.#turn();
  }

  settle(held: Held, outcome: Outcome): Promise<boolean> {
    const item = held as RedisHeld;
    const { parcel } = item;
    if (!parcel.isHeld || this.#closed) return NO;
    if (outcome.verb === 'ack') {
      if (parcel.acknowledge(item)) this.#acknowledged.push(parcel);
      this.#count += 1;
      if (outcome.reply) this.#replies.push(outcome.reply);
    } else {
      parcel.settle(item);
      this.#returned.push({ item, outcome });
    }
    this.#settling ??= deferred();
    this.#schedule();
    return this.#settling.promise;
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
      const found = this.#holdings.haveSuspect ? 'suspect' : isDry ? undefined : await this.#ask(call);
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
  #ask(call: Call): Promise<Found> {
    const take = { ...this.#holdings.nextTake(call.max, call.atOnce), found: deferred<Found>() };
    this.#take = take;
    this.#turn();
    return take.found.promise;
  }

  /**
   * Waits until an item has landed, or there may be something else to take, and takes what there is.
   *
   * @param isDry whether that is at once behind a take: then what the handlers answer in this turn goes along
   */
  async #wait(call: Call, isDry: boolean): Promise<Parcel | undefined> {
    const waiting = new AbortController();
    this.#waiting = waiting;
    this.#isAboutToWait = isDry && this.#hasAnswered;
    try {
      for (;;) {
        const { incarnation } = this.#lease;
        const take = this.#holdings.nextTake(call.max, call.atOnce);
        const answer = await waitOnce(this.#clients, waiting.signal, (client, ms) => this.#sayWait(client, ms, take));
        this.#failures = 0;
        if (answer === undefined || !this.#lease.stands(answer, incarnation)) return undefined;
        const found = this.#holdings.add(take, answer);
        if (found instanceof Parcel) return found;
        if (found === 'suspect' || waiting.signal.aborted) return undefined;
      }
    } catch (error) {
      if (!isAnswer(error)) this.#brokeAt = performance.now();
      // It may be another server.
      this.#hasAnswered = false;
      if (call.isCancelled || waiting.signal.aborted) return undefined;
      await this.#clients.recover(error, this.#failures, this.#closing.signal);
      this.#failures += 1;
      return undefined;
    } finally {
      this.#waiting = undefined;
      this.#isAboutToWait = false;
    }
  }

  async #sayWait(client: BlockingClient, milliseconds: number, take: Take): Promise<Taken | number | null> {
    if (this.#isAboutToWait) await new Promise(setImmediate);
    // What has not begun can't be cut short.
    if (this.#waiting?.signal.aborted) return null;
    const say = (redis: Redis): void => {
      if (this.#isAboutToWait && this.#canGoAlong) this.#turn(redis);
      this.#isAboutToWait = false;
    };
    const { queue } = this.#keys;
    return await client.moveThen(queue, this.#lease.landing, milliseconds, (redis) => this.#sayTake(redis, take), say);
  }

  /** Whether what there is to say may go before a wait: answers, by a script that the server knows; others would be held up behind it. */
  get #canGoAlong(): boolean {
    return this.#hasAnswered && this.#replies.length > 0 && this.#returned.length === 0;
  }

  /** Gives back what a wait has brought of which nobody has heard, where nobody asks: who does has it. */
  #lookForUnheard(): void {
    if (this.#isReceiving || this.#looking || this.#closed || performance.now() - this.#brokeAt > LATE) return;
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
    this.#waiting?.abort();
    this.#onChange?.();
  }

  /** Less is held: what is to be alone may be had. */
  #free(): void {
    this.#isFreed = true;
    this.#onChange?.();
  }

  #sayHanded(): void {
    const { client } = this.#clients;
    const handed = this.#handed;
    if (!client || !handed) return;
    this.#handed = undefined;
    const { name, incarnation, inProcess } = this.#lease;
    client.millraceHanded(this.#keys.consumers, inProcess, name, incarnation, ...handed).catch(() => {
      if (incarnation !== this.#lease.incarnation) return;
      this.#handed ??= handed;
      this.#schedule();
    });
  }

  /** Says in a moment what there is to say: what of one turn of the event loop, and where it is much, of a few, goes together. */
  #schedule(patience = PATIENCE): void {
    if (this.#scheduled || this.#turning) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      // Many settlements are followed by an ask, as a rule, and cost least together with it.
      const isMore = this.#count > 1 || (this.#isAboutToWait && this.#canGoAlong);
      if (patience > 0 && isMore && !this.#closed) this.#schedule(patience - 1);
      else this.#turn();
    });
  }

  get #hasSomethingToSay(): boolean {
    return Boolean(this.#handed || this.#settling || this.#take);
  }

  /**
   * Says what there is to say, one turn at a time.
   *
   * @param by the client with which it is tried first; by default that for commands
   */
  #turn(by?: Redis): void {
    if (this.#turning || !this.#hasSomethingToSay) return;
    const { incarnation } = this.#lease;
    const acknowledged = new Map(this.#acknowledged.map((parcel) => [parcel, parcel.takeMask()]));
    const settlement: TurnSettlement = {
      incarnation,
      handed: this.#handed,
      acknowledged,
      count: this.#count,
      replies: this.#replies,
      returned: this.#returned,
      settling: this.#settling,
    };
    const turn: Turn = { settlement, take: this.#take, found: undefined };
    this.#take = undefined;
    this.#clear();
    this.#turning = this.#transmit(turn, by).finally(() => {
      this.#turning = undefined;
      // Now, and not before: who gets it asks for more first of all, and that goes out while the handlers are at work.
      turn.take?.found.resolve(turn.found);
      if (this.#take) this.#turn();
      // In a moment: who takes what has come asks for more at once, and that goes along.
      else if (this.#hasSomethingToSay) this.#schedule();
    });
  }

  #clear(): void {
    this.#acknowledged = [];
    this.#count = 0;
    this.#replies = [];
    this.#returned = [];
    this.#settling = undefined;
    this.#handed = undefined;
  }

  async #transmit(turn: Turn, by: Redis | undefined): Promise<void> {
    for (let failures = 0; ; failures += 1) {
      try {
        // Without a wait where there is nothing to wait for: what is said before a handler sees an item must go out at once.
        if (!this.#lease.isJoined) await this.#lease.join();
        const first = failures === 0 ? by : undefined;
        const client = first ?? this.#clients.client ?? (await this.#clients.online(this.#closing.signal));
        if (await this.#say(client, turn)) return;
      } catch (error) {
        try {
          await this.#clients.recover(error, failures, this.#closing.signal);
        } catch (reason) {
          this.#giveUp(turn, reason);
          return;
        }
      }
    }
  }

  /** Says all of a turn; gives whether that was all. */
  async #say(client: Redis, turn: Turn): Promise<boolean> {
    const { incarnation } = this.#lease;
    const { take } = turn;
    if (turn.settlement && turn.settlement.incarnation !== incarnation) this.#fail(turn);
    const { settlement } = turn;
    let said: Promise<number>[];
    let taking: Promise<Taken | number | null> | undefined;
    // One write for all commands.
    client.stream.cork();
    try {
      said = settlement ? this.#sayOf(client, settlement) : [];
      taking = take && this.#sayTake(client, take);
    } finally {
      client.stream.uncork();
    }
    const [found, ...standings] = await whenAllSettled([taking, ...said]);
    const stands = [found, ...standings].every((answer) => this.#lease.stands(answer, incarnation));
    if (settlement && stands) this.#conclude(settlement);
    else this.#fail(turn);
    turn.settlement = undefined;
    if (take && stands) turn.found = this.#holdings.add(take, found as Taken | number | null);
    return stands || !take;
  }

  #sayOf(client: Redis, { handed, acknowledged, count, replies, returned }: TurnSettlement): Promise<number>[] {
    const { name, incarnation, inProcess, parcels } = this.#lease;
    const { consumers, marks, base } = this.#keys;
    const where = [consumers, inProcess, marks, parcels];
    const said: Promise<number>[] = [];
    if (handed) said.push(client.millraceHanded(consumers, inProcess, name, incarnation, ...handed));
    // What is released goes back with the last one first, so that the first is in front.
    const released = returned.filter(({ outcome }) => outcome.verb === 'release').sort(lastFirst);
    const others = returned.filter(({ outcome }) => outcome.verb !== 'release');
    for (const items of [...byParcel(others), ...byParcel(released)]) said.push(this.#sayReturn(client, items));
    if (acknowledged.size > 0) {
      const masks = Array.from(acknowledged, ([parcel, mask]) => [parcel.number, mask]).flat();
      if (replies.length > 0) {
        const messages = messagesOf(replies).flatMap(({ channel, text }) => [channel, text]);
        const how = [name, incarnation, count, base, acknowledged.size, ...masks, ...messages];
        said.push(client.millraceAnswer(...where, ...how));
      } else {
        said.push(client.millraceAck(...where, name, incarnation, count, ...masks));
      }
    }
    return said;
  }

  /** Sends items of one parcel back, or elsewhere. */
  #sayReturn(client: Redis, returned: readonly Returned[]): Promise<number> {
    const { name, incarnation, inProcess, parcels } = this.#lease;
    const { consumers, again, delayed, dead, marks, wake } = this.#keys;
    const { parcel } = (returned[0] as Returned).item;
    const mask = parcel.maskOf(returned.map(({ item }) => item));
    const each = returned.flatMap(({ item, outcome }) => [item.index + 1, outcome.verb, detailOf(outcome)]);
    const where = [consumers, inProcess, again, delayed, dead, marks, parcels];
    return client.millraceReturn(...where, clock.offset, name, incarnation, wake, parcel.number, mask, ...each);
  }

  /** Takes, and reads what was taken, in one round trip. */
  async #sayTake(client: Redis, { number, max, atOnce }: Take): Promise<Taken | number | null> {
    const { name, incarnation, inProcess, landing, parcels } = this.#lease;
    const { queue, again, consumers } = this.#keys;
    const list = parcels + number;
    const args = [clock.offset, name, incarnation, number, max, atOnce];
    const taking = client.millraceTake(queue, again, consumers, inProcess, landing, list, ...args);
    const reading = client.lrangeBuffer(list, 0, -1);
    const [mark, bodies] = await whenAllSettled([taking, reading]);
    if (typeof mark !== 'string') return mark as number | null;
    // Where the server did not know the script, it came to it behind the list.
    return {
      mark,
      bodies: (bodies as Buffer[]).length > 0 ? (bodies as Buffer[]) : await client.lrangeBuffer(list, 0, -1),
    };
  }

  #conclude({ acknowledged, replies, returned, settling }: TurnSettlement): void {
    if (replies.length > 0) this.#hasAnswered = true;
    if (acknowledged.size > 0) this.#holdings.free(acknowledged.keys());
    if (returned.length > 0) this.#holdings.free(returned.map(({ item }) => item.parcel));
    settling?.resolve(true);
  }

  /** What was to be settled is not held any more. */
  #fail(turn: Turn): void {
    turn.settlement?.settling?.resolve(false);
    turn.settlement = undefined;
  }

  #giveUp({ settlement, take }: Turn, reason: unknown): void {
    settlement?.settling?.reject(reason);
    take?.found.reject(reason);
  }

  /** The lease has ended: what was held is with others. */
  #lose(): void {
    const items = this.#holdings.empty();
    this.#settling?.resolve(false);
    this.#clear();
    this.#wake();
    if (items.length > 0) this.#onLost(items);
  }

  async #close(giveUp: AbortSignal): Promise<void> {
    this.cancel();
    const abandon = (): void => this.#closing.abort();
    giveUp.addEventListener('abort', abandon);
    if (giveUp.aborted) abandon();
    // What has been settled is said first; and no pop may land an item behind our back. What was to go back goes with the rest, in order.
    this.#returned = this.#returned.filter(({ outcome }) => outcome.verb !== 'release');
    while (this.#turning || this.#hasSomethingToSay) {
      this.#turn();
      await this.#turning;
    }
    await Promise.race([this.#current, aborted(this.#closing.signal)]);
    await this.#lease.leave(this.#closing.signal).catch(() => {});
    giveUp.removeEventListener('abort', abandon);
    this.#closing.abort();
    this.#unwatch();
    this.#clients.release();
  }
}

function lastFirst({ item: a }: Returned, { item: b }: Returned): number {
  return b.parcel.number - a.parcel.number || b.index - a.index;
}

/** Those of one parcel that follow each other together: the order in which they were settled stays. */
function byParcel(returned: readonly Returned[]): Returned[][] {
  const parts: Returned[][] = [];
  for (const one of returned) {
    const last = parts.at(-1);
    if (last?.[0]?.item.parcel === one.item.parcel) last.push(one);
    else parts.push([one]);
  }
  return parts;
}

function detailOf(outcome: Returned['outcome']): string | number {
  if (outcome.verb === 'retry') return outcome.delay;
  return outcome.verb === 'reject' ? outcome.reason : '';
}

/** What promises give, once all of them are settled; rejects with the first failure. */
async function whenAllSettled(promises: readonly (Promise<unknown> | undefined)[]): Promise<unknown[]> {
  const results = await Promise.allSettled(promises);
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
