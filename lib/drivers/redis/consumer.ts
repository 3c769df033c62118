import type { Redis } from 'ioredis';
import type { Consumer, ConsumerOptions, DriverConnection, Held, Outcome } from '../../driver.ts';
import { type RedisClients, unboundedAbortController } from './clients.ts';
import { type Handed, Handing } from './handing.ts';
import type { QueueKeys } from './keys.ts';
import { Lease } from './lease.ts';
import { Parcel, type RedisHeld } from './parcel.ts';
import { clock } from './scripts/index.ts';
import { waitOnce } from './waiting.ts';

/** For how long after a failure a pop that nobody hears of any more may still land an item, in milliseconds. */
const ECHO = 3000;

/** For how many turns of the event loop settlements wait for more, where there are many. */
const PATIENCE = 3;

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

/** What a take has found: items; or something that is to be delivered alone, when nothing else is held. */
type Found = readonly RedisHeld[] | 'suspect';

interface Take {
  readonly number: number;
  readonly max: number;
  /** How many of what comes a handler may see at once. */
  readonly atOnce: number;
  readonly found: Deferred<Found>;
}

/** What goes to the server together, in one round trip, as often as it takes: each part is carried out once. */
interface Turn {
  /** What is said of what is held; nothing once that is lost. */
  settlement: TurnSettlement | undefined;
  readonly take: Take | undefined;
}

interface TurnSettlement {
  readonly incarnation: string;
  landed: Landed | undefined;
  readonly handed: Handed | undefined;
  readonly acknowledged: Map<Parcel, Buffer>;
  readonly count: number;
  readonly returned: readonly Returned[];
  readonly settling: Deferred<boolean> | undefined;
}

interface Returned {
  readonly item: RedisHeld;
  readonly outcome: Exclude<Outcome, { verb: 'ack' }>;
}

/** An item that a pop has moved to where it waits to become a parcel. */
interface Landed {
  readonly parcel: Parcel;
  isHanded: boolean;
}

/**
 * Takes items and holds them under a lease. It asks with the client for commands; only to wait for an item does it borrow one that may
 * block, with which the item lands beside what it holds.
 */
export class RedisConsumer implements Consumer {
  readonly connection: DriverConnection;
  readonly #clients: RedisClients;
  readonly #keys: QueueKeys;
  readonly #lease: Lease;
  readonly #handing: Handing;
  readonly #onLost: (items: readonly Held[]) => void;
  readonly #closing = unboundedAbortController();
  readonly #unwatch: () => void;
  /** What is held, as far as it is known here, by number. */
  readonly #parcels = new Map<number, Parcel>();
  #number = 0;
  /** What has come beside what was asked for. */
  #extra: readonly RedisHeld[] = [];
  /** Aborted to end the call under way, and to end its waiting. */
  #receiving = new AbortController();
  #waiting = new AbortController();
  #failures = 0;
  #failedAt = Number.NEGATIVE_INFINITY;
  /** Whether more can be had, or less is held, than when it was last asked; and who is told. */
  #isWoken = false;
  #isFreed = false;
  #onChange: (() => void) | undefined;
  // The next turn:
  #landed: Landed | undefined;
  #handed: Handed | undefined;
  #acknowledged: Parcel[] = [];
  #count = 0;
  #returned: Returned[] = [];
  #settling: Deferred<boolean> | undefined;
  #take: Take | undefined;
  #scheduled = false;
  #turning: Promise<void> | undefined;
  /** Whether the turn under way makes a parcel of what has landed. */
  #adopting = false;
  #current: Promise<unknown> = Promise.resolve();
  #closed: Promise<void> | undefined;

  constructor(connection: DriverConnection, clients: RedisClients, keys: QueueKeys, options: ConsumerOptions) {
    this.connection = connection;
    this.#clients = clients;
    this.#keys = keys;
    this.#onLost = options.onLost;
    this.#handing = new Handing(options.maxAttempts);
    this.#lease = new Lease(clients, keys, options, this.#closing.signal, () => this.#lose());
    clients.retain();
    this.#unwatch = clients.wakes.watch(keys, () => this.#wake());
    this.#lease.join().catch(() => {});
  }

  receive(max: number): Promise<readonly RedisHeld[]> {
    this.#receiving = new AbortController();
    const receiving = this.#receive(max, this.#receiving.signal);
    this.#current = receiving.catch(() => {});
    return receiving;
  }

  cancel(): void {
    this.#receiving.abort();
    this.#wake();
  }

  handOver(held: Held): void {
    const item = held as RedisHeld;
    if (this.#landed?.parcel === item.parcel) {
      this.#landed.isHanded = true;
      this.#handing.said(item.parcel, 1);
      return;
    }
    const handed = this.#handing.next(item);
    if (handed === undefined) return;
    this.#handed = handed;
    // Before the handler sees it, this is on its way: the server reads it though the process may die of the item.
    if (this.#turning) this.#sayHanded();
    else this.#turn();
  }

  settle(held: Held, outcome: Outcome): Promise<boolean> {
    const item = held as RedisHeld;
    const { parcel } = item;
    if (this.#parcels.get(parcel.number) !== parcel || this.#closed) return NO;
    if (outcome.verb === 'ack') {
      if (parcel.acknowledge(item)) this.#acknowledged.push(parcel);
      this.#count += 1;
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
  async settlement(items: readonly Held[]): Promise<Settlement | undefined> {
    // What has only landed is no parcel yet.
    while (this.#landed || this.#adopting) {
      if (!this.#turning) this.#turn();
      await this.#turning;
    }
    const parts = new Map<Parcel, RedisHeld[]>();
    for (const item of items as readonly RedisHeld[]) {
      if (this.#parcels.get(item.parcel.number) !== item.parcel) return undefined;
      const part = parts.get(item.parcel);
      if (part) part.push(item);
      else parts.set(item.parcel, [item]);
    }
    const masks = Array.from(parts, ([parcel, some]) => [parcel.number, parcel.maskOf(some)]).flat();
    const { name, incarnation, inProcess } = this.#lease;
    return {
      keys: [this.#keys.consumers, inProcess, this.#keys.marks],
      args: [name, incarnation, items.length, parts.size, ...masks],
      conclude: (answer) => {
        const settled = this.#lease.stands(answer, incarnation);
        if (settled) {
          for (const item of items as readonly RedisHeld[]) item.parcel.settle(item);
          this.#forget(parts.keys());
        }
        return settled;
      },
    };
  }

  async #receive(max: number, signal: AbortSignal): Promise<readonly RedisHeld[]> {
    while (!signal.aborted && !this.#closed) {
      if (this.#extra.length > 0) return this.#takeExtra();
      this.#isWoken = false;
      this.#isFreed = false;
      const found = this.#holdsSuspect ? 'suspect' : await this.#ask(max);
      if (found !== 'suspect' && found.length > 0) return found;
      // What has happened meanwhile may have made the answer untrue.
      if (this.#isWoken || signal.aborted) continue;
      if (found === 'suspect') {
        if (!this.#isFreed) await this.#change(signal);
      } else {
        const landed = await this.#wait(signal);
        if (landed) return [landed];
      }
    }
    return [];
  }

  #takeExtra(): readonly RedisHeld[] {
    const extra = this.#extra;
    this.#extra = [];
    return extra;
  }

  get #holdsSuspect(): boolean {
    for (const { isSuspect } of this.#parcels.values()) if (isSuspect) return true;
    return false;
  }

  /** Resolves when less is held, or something comes again, or `signal` is aborted. */
  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      this.#onChange = resolve;
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  /** Takes what there is, together with what else there is to say. */
  #ask(max: number): Promise<Found> {
    const atOnce = this.#handing.atOnce(max);
    this.#take = { number: ++this.#number, max, atOnce, found: deferred() };
    const { promise } = this.#take.found;
    this.#turn();
    return promise;
  }

  /** Waits until an item lands. Without one there may be something else to take. */
  async #wait(signal: AbortSignal): Promise<RedisHeld | undefined> {
    this.#waiting = new AbortController();
    const { incarnation } = this.#lease;
    let body: Buffer | null | undefined;
    try {
      do {
        body = await waitOnce(this.#clients, this.#waiting.signal, (client, milliseconds) =>
          client.move(this.#keys.queue, this.#lease.landing, milliseconds),
        );
        // A pop of which the answer was lost may land something yet; and who was away for long must see how things stand.
      } while (body === null && !this.#waiting.signal.aborted && !this.#echoes && this.#lease.isFresh);
      this.#failures = 0;
    } catch (error) {
      if (signal.aborted || this.#waiting.signal.aborted) return undefined;
      this.#failedAt = performance.now();
      await this.#clients.recover(error, this.#failures, this.#closing.signal);
      this.#failures += 1;
    }
    if (!body || incarnation !== this.#lease.incarnation) return undefined;
    return this.#land(body);
  }

  get #echoes(): boolean {
    return performance.now() - this.#failedAt < ECHO;
  }

  #land(body: Buffer): RedisHeld | undefined {
    const parcel = Parcel.of(++this.#number, body);
    this.#parcels.set(parcel.number, parcel);
    this.#landed = { parcel, isHanded: false };
    // What has landed counts as seen by a handler. If it is not, that must be said.
    setImmediate(() => {
      if (this.#landed?.parcel === parcel && !this.#landed.isHanded) this.#turn();
    });
    return parcel.items[0];
  }

  /** Something comes again: who waits for the queue looks. */
  #wake(): void {
    this.#isWoken = true;
    this.#waiting.abort();
    this.#onChange?.();
  }

  #sayHanded(): void {
    const { client } = this.#clients;
    const handed = this.#handed;
    if (!client || !handed) return;
    this.#handed = undefined;
    const { name, incarnation, inProcess } = this.#lease;
    client.millraceHanded(this.#keys.consumers, inProcess, name, incarnation, ...handed).catch(() => {
      this.#handed ??= handed;
    });
  }

  /** Says in a moment what there is to say: what of one turn of the event loop, and where it is much, of a few, goes together. */
  #schedule(patience = PATIENCE): void {
    if (this.#scheduled || this.#turning) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      // Many settlements are followed by an ask, as a rule, and cost least together with it.
      if (patience > 0 && this.#count > 1 && !this.#closed) this.#schedule(patience - 1);
      else this.#turn();
    });
  }

  get #hasSomethingToSay(): boolean {
    return Boolean(this.#landed || this.#handed || this.#settling || this.#take);
  }

  /** Says what there is to say, one turn at a time. */
  #turn(): void {
    if (this.#turning || !this.#hasSomethingToSay) return;
    const { incarnation } = this.#lease;
    const acknowledged = new Map(this.#acknowledged.map((parcel) => [parcel, parcel.takeMask()]));
    const settlement: TurnSettlement = {
      incarnation,
      landed: this.#landed,
      handed: this.#handed,
      acknowledged,
      count: this.#count,
      returned: this.#returned,
      settling: this.#settling,
    };
    const turn = { settlement, take: this.#take };
    this.#adopting = this.#landed !== undefined;
    this.#take = undefined;
    this.#clear();
    this.#turning = this.#transmit(turn).finally(() => {
      this.#turning = undefined;
      this.#adopting = false;
      if (this.#take) this.#turn();
      // In a moment: who takes what has come asks for more at once, and that goes along.
      else if (this.#hasSomethingToSay) this.#schedule();
    });
  }

  #clear(): void {
    this.#acknowledged = [];
    this.#count = 0;
    this.#returned = [];
    this.#settling = undefined;
    this.#landed = undefined;
    this.#handed = undefined;
  }

  async #transmit(turn: Turn): Promise<void> {
    for (let failures = 0; ; failures += 1) {
      try {
        // Without a wait where there is nothing to wait for: what is said before a handler sees an item must go out at once.
        if (!this.#lease.isJoined) await this.#lease.join();
        const client = this.#clients.client ?? (await this.#clients.online(this.#closing.signal));
        if (await this.#say(client, turn, failures > 0)) return;
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
  async #say(client: Redis, turn: Turn, isAgain: boolean): Promise<boolean> {
    const { incarnation } = this.#lease;
    const { settlement, take } = turn;
    if (settlement && settlement.incarnation !== incarnation) this.#fail(turn);
    if (isAgain && turn.settlement?.landed) await this.#adopt(client, turn.settlement, true);
    // One write for all commands.
    client.stream.cork();
    let adopting: Promise<boolean> | undefined;
    const settled: Promise<number>[] = [];
    let taking: Promise<Buffer | number | null> | undefined;
    try {
      if (turn.settlement?.landed) adopting = this.#adopt(client, turn.settlement, false);
      if (turn.settlement) settled.push(...this.#sayOf(client, turn.settlement));
      if (take) taking = this.#sayTake(client, take);
    } finally {
      client.stream.uncork();
    }
    const [isAdopted, found, ...standings] = await whenAllSettled([adopting, taking, ...settled]);
    const stands = [found, ...standings].every((answer) => this.#lease.stands(answer, incarnation));
    if (isAdopted === false) return false;
    if (turn.settlement) {
      if (stands) this.#conclude(turn.settlement);
      else this.#fail(turn);
    }
    turn.settlement = undefined;
    if (!take) return true;
    if (!stands) return false;
    take.found.resolve(this.#found(take, found as Buffer | number | null));
    return true;
  }

  /** Makes a parcel of what has landed; gives false where it has to be asked again, which one is meant. */
  async #adopt(client: Redis, settlement: TurnSettlement, isAgain: boolean): Promise<boolean> {
    const { parcel, isHanded } = settlement.landed as Landed;
    const { name, incarnation, inProcess, landing } = this.#lease;
    const item = parcel.items[0] as RedisHeld;
    const args = [clock.offset, name, incarnation, parcel.number, isHanded ? 1 : 0, ...(isAgain ? [item.bytes] : [])];
    const answer = await client.millraceAdoptBuffer(this.#keys.consumers, inProcess, landing, ...args);
    if (answer === 0) return false;
    if (!this.#lease.stands(answer, incarnation)) return true;
    settlement.landed = undefined;
    if (Buffer.isBuffer(answer)) {
      this.#extra = [...this.#extra, ...parcel.complete(Parcel.unpack(parcel.number, answer))];
      if (settlement.acknowledged.has(parcel)) settlement.acknowledged.set(parcel, parcel.maskOf([item]));
    }
    return true;
  }

  #sayOf(client: Redis, { handed, acknowledged, count, returned }: TurnSettlement): Promise<number>[] {
    const { name, incarnation, inProcess } = this.#lease;
    const { consumers, again, delayed, dead, marks, wake } = this.#keys;
    const said: Promise<number>[] = [];
    if (handed) said.push(client.millraceHanded(consumers, inProcess, name, incarnation, ...handed));
    for (const { item, outcome } of inOrder(returned)) {
      const { parcel, index } = item;
      const what = [clock.offset, name, incarnation, parcel.number, index + 1, parcel.maskOf([item])];
      const where = [consumers, inProcess, again, delayed, dead, marks];
      said.push(client.millraceReturn(...where, ...what, wake, outcome.verb, detailOf(outcome)));
    }
    if (acknowledged.size > 0) {
      const masks = Array.from(acknowledged, ([parcel, mask]) => [parcel.number, mask]).flat();
      said.push(client.millraceAck(consumers, inProcess, marks, name, incarnation, count, ...masks));
    }
    return said;
  }

  #sayTake(client: Redis, { number, max, atOnce }: Take): Promise<Buffer | number | null> {
    const { name, incarnation, inProcess, landing } = this.#lease;
    const { queue, again, consumers } = this.#keys;
    const args = [clock.offset, name, incarnation, number, max, atOnce];
    return client.millraceTakeBuffer(queue, again, consumers, inProcess, landing, ...args);
  }

  #found(take: Take, answer: Buffer | number | null): Found {
    if (answer === null) return [];
    if (!Buffer.isBuffer(answer)) return 'suspect';
    const parcel = Parcel.unpack(take.number, answer);
    this.#parcels.set(parcel.number, parcel);
    this.#handing.said(parcel, take.atOnce);
    return parcel.items;
  }

  #conclude({ acknowledged, returned, settling }: TurnSettlement): void {
    this.#forget(acknowledged.keys());
    this.#forget(returned.map(({ item }) => item.parcel));
    settling?.resolve(true);
  }

  #forget(parcels: Iterable<Parcel>): void {
    for (const parcel of parcels) if (parcel.isOver) this.#parcels.delete(parcel.number);
    this.#isFreed = true;
    this.#onChange?.();
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
    const items = Array.from(this.#parcels.values(), (parcel) => parcel.open).flat();
    this.#parcels.clear();
    this.#extra = [];
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

/** What a script needs to settle items beside what else it does. */
export interface Settlement {
  readonly keys: readonly string[];
  readonly args: readonly (string | number | Buffer)[];
  /** Gives whether the script has settled them, going by its answer. */
  conclude(answer: number): boolean;
}

/** What is released goes back with the last one first, so that the first is in front. */
function inOrder(returned: readonly Returned[]): Returned[] {
  const released = returned.filter(({ outcome }) => outcome.verb === 'release');
  const others = returned.filter(({ outcome }) => outcome.verb !== 'release');
  released.sort((a, b) => b.item.parcel.number - a.item.parcel.number || b.item.index - a.item.index);
  return [...others, ...released];
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
