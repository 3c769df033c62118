import type { Redis } from 'ioredis';
import type { Outcome } from '../../driver.ts';
import type { RedisClients } from './clients.ts';
import type { ConsumerCommands } from './consumer-commands.ts';
import type { Handed } from './handing.ts';
import type { Found, Holdings } from './holdings.ts';
import type { Lease } from './lease.ts';
import { inOneWrite } from './link.ts';
import type { RedisHeld, Take, Taken } from './parcel.ts';
import { type Deferred, deferred, whenAllSettled } from './promises.ts';
import { Report } from './report.ts';

/** For how many turns of the event loop settlements wait for more, where there are many. */
const PATIENCE = 3;

const NO = Promise.resolve(false);

/** A take whose caller waits for it. */
interface AwaitedTake extends Take {
  readonly found: Deferred<Found>;
}

/** What goes to the server together, in one round trip, as often as it takes: each part is carried out once. */
interface Turn {
  /** What is said of what is held; nothing once that is lost. */
  report: Report | undefined;
  readonly take: AwaitedTake | undefined;
  /** What the take has found. */
  found: Found;
}

/**
 * What a consumer says of what it holds, and asks for, one turn at a time: what there is to say meanwhile is gathered for the next.
 * What is settled waits a moment for more; a take does not, and all that is gathered goes along with it; nor does what is handed
 * over, which goes by itself. Answers may go along with a wait, which is somebody else's to say.
 */
export class Turns {
  readonly #clients: RedisClients;
  readonly #lease: Lease;
  readonly #commands: ConsumerCommands;
  readonly #holdings: Holdings;
  readonly #signal: AbortSignal;
  /** What is for the next turn. */
  #report = new Report();
  #take: AwaitedTake | undefined;
  #isScheduled = false;
  /** The turn under way. */
  #turning: Promise<void> | undefined;
  #isClosing = false;
  /** Whether a wait is about to be said, for which answers wait; whether the server knows the scripts for them. */
  #isWaitExpected = false;
  #hasAnswered = false;
  #hasAcknowledged = false;

  /**
   * @param holdings what settlements are of, and takes add to
   * @param signal aborted when nothing is tried again any more
   */
  constructor(
    clients: RedisClients,
    lease: Lease,
    commands: ConsumerCommands,
    holdings: Holdings,
    signal: AbortSignal,
  ) {
    this.#clients = clients;
    this.#lease = lease;
    this.#commands = commands;
    this.#holdings = holdings;
    this.#signal = signal;
  }

  /** Says before long what has become of an item; resolves with whether it came to that. Rejects as {@link take} does. */
  settle(item: RedisHeld, outcome: Outcome): Promise<boolean> {
    if (!item.parcel.isHeld || this.#isClosing) return NO;
    const settled = this.#report.settle(item, outcome);
    this.#schedule();
    return settled;
  }

  /** Takes, and says at once what else there is to say. Rejects with a refusal that will not pass, and when the signal is aborted. */
  take(take: Take): Promise<Found> {
    const found = deferred<Found>();
    this.#take = { ...take, found };
    this.#turn();
    return found.promise;
  }

  /** Says up to where items are handed over, before it gives: the server reads it though the process may die of the next item. */
  handOver(handed: Handed): void {
    const { client } = this.#clients;
    if (!client) {
      this.#report.handed = handed;
      this.#turn();
      return;
    }
    // By itself, for no turn should wait for its answer. What was said before, and not heard, is part of it.
    this.#report.handed = undefined;
    const { incarnation } = this.#lease;
    this.#commands.handOver(client, handed).catch(() => {
      if (incarnation !== this.#lease.incarnation) return;
      this.#report.handed ??= handed;
      this.#schedule();
    });
  }

  /** Has acknowledgements wait for a wait that is about to be said, if the server knows the script for them. */
  expectWait(): void {
    this.#isWaitExpected = this.#hasAnswered || this.#hasAcknowledged;
  }

  /** Whether they wait for a wait: it had better be said when all that are given in this turn of the event loop are there. */
  get isWaitExpected(): boolean {
    return this.#isWaitExpected;
  }

  /** Whether another item may land: the server has been told of the one that has, or that may go along with a wait which is said now. */
  get hasRoomToLand(): boolean {
    return !this.#holdings.landed || (!this.#turning && this.#canGoAlong);
  }

  /** Says what there is to say; resolves when that, or what was under way, is heard. */
  async sayNow(): Promise<void> {
    this.#turn();
    await this.#turning;
  }

  /** Says what may go along with a wait, by the client that is about to say that. */
  goAlong(client: Redis): void {
    if ((this.#isWaitExpected || this.#holdings.landed) && this.#canGoAlong) this.#turn(client);
    this.#isWaitExpected = false;
  }

  /** Has them wait no more: the wait is over, though it was never said, maybe. */
  endWait(): void {
    this.#isWaitExpected = false;
  }

  /** Sees to it that the server is told of what has landed before long. Who leaves says nothing: it goes back with all else. */
  noteLanded(): void {
    if (!this.#isClosing) this.#schedule();
  }

  /** The server may be another one, which does not know the scripts. */
  doubtServer(): void {
    this.#hasAnswered = false;
    this.#hasAcknowledged = false;
  }

  /** The lease has ended: there is nothing to say of what was held. */
  lose(): void {
    this.#report.resolve(false);
    this.#report = new Report();
  }

  /** Says all that there is to say, but for what is released: that goes back with all else that is held, in order. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#report.dropReleased();
    while (this.#turning || this.#hasSomethingToSay) {
      this.#turn();
      await this.#turning;
    }
  }

  /**
   * Whether what there is to say may go before a wait: what is acknowledged, by a script that the server knows, would be held up behind
   * it otherwise. That for what has landed is known: something was taken before.
   */
  get #canGoAlong(): boolean {
    const { count, replies, returnsNothing } = this.#report;
    const isKnown =
      count === 0 ? this.#holdings.landed : replies.length > 0 ? this.#hasAnswered : this.#hasAcknowledged;
    return returnsNothing && Boolean(isKnown);
  }

  get #hasSomethingToSay(): boolean {
    return this.#take !== undefined || !this.#report.isEmpty || this.#holdings.landed !== undefined;
  }

  /** Says in a moment what there is to say: what of one turn of the event loop, and where it is much, of a few, goes together. */
  #schedule(patience = PATIENCE): void {
    if (this.#isScheduled || this.#turning) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      // Many settlements are followed by a take, as a rule, and cost least together with it.
      const isMore = this.#report.count > 1 || (this.#isWaitExpected && this.#canGoAlong);
      if (patience > 0 && isMore && !this.#isClosing) this.#schedule(patience - 1);
      else this.#turn();
    });
  }

  /**
   * Says what there is to say, one turn at a time.
   *
   * @param by the client with which it is tried first; by default that for commands
   */
  #turn(by?: Redis): void {
    if (this.#turning || !this.#hasSomethingToSay) return;
    const turn: Turn = { report: this.#report, take: this.#take, found: undefined };
    this.#report.seal(this.#lease.incarnation, this.#holdings.landed);
    this.#report = new Report();
    this.#take = undefined;
    this.#turning = this.#transmit(turn, by).finally(() => this.#end(turn));
  }

  #end({ take, found }: Turn): void {
    this.#turning = undefined;
    // Now, and not before: who gets it asks for more first of all, and that goes out while the handlers are at work.
    take?.found.resolve(found);
    if (this.#take) this.#turn();
    // In a moment: who takes what has come asks for more at once, and that goes along.
    else if (this.#hasSomethingToSay) this.#schedule();
  }

  async #transmit(turn: Turn, by: Redis | undefined): Promise<void> {
    for (let failures = 0; ; failures += 1) {
      try {
        // Without a wait where there is nothing to wait for: what is said before a handler sees an item must go out at once.
        if (!this.#lease.isJoined) await this.#lease.join();
        const first = failures === 0 ? by : undefined;
        const client = first ?? this.#clients.client ?? (await this.#clients.online(this.#signal));
        if (await this.#say(client, turn)) return;
      } catch (error) {
        try {
          await this.#clients.recover(error, failures, this.#signal);
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
    if (turn.report?.incarnation !== incarnation) this.#fail(turn);
    const { report, take } = turn;
    const answers = await whenAllSettled(this.#send(client, turn));
    const stands = answers.every((answer) => this.#lease.stands(answer, incarnation));
    if (report && stands) this.#conclude(report);
    else this.#fail(turn);
    turn.report = undefined;
    if (take && stands) turn.found = this.#holdings.add(take, answers[0] as Taken | number | null);
    return stands || !take;
  }

  /** Sends all commands of a turn in one write; gives what answers the take, and then what answers the report. */
  #send(client: Redis, { report, take }: Turn): (Promise<unknown> | undefined)[] {
    return inOneWrite(client, () => {
      const told = report ? this.#commands.tell(client, report) : [];
      return [take && this.#commands.take(client, take), ...told];
    });
  }

  #conclude(report: Report): void {
    const { parcels, landed, replies, count } = report;
    if (replies.length > 0) this.#hasAnswered = true;
    else if (count > 0) this.#hasAcknowledged = true;
    if (landed) this.#holdings.record(landed);
    if (parcels.length > 0) this.#holdings.free(parcels);
    report.resolve(true);
  }

  /** What was to be settled is not held any more. */
  #fail(turn: Turn): void {
    turn.report?.resolve(false);
    turn.report = undefined;
  }

  #giveUp({ report, take }: Turn, reason: unknown): void {
    if (this.#holdings.landed) this.#holdings.record(this.#holdings.landed);
    report?.reject(reason);
    take?.found.reject(reason);
  }
}
