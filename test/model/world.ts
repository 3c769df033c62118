import assert from 'node:assert/strict';
import type { Consumer, DriverConnection, Held, Outcome, Sender } from '../../lib/driver.ts';
import { type Ground, NAMES, type Place } from './ground.ts';
import { DELAYS, LARGE, LEASE, MAX_ATTEMPTS, type Totals, type Verb } from './model.ts';

const OUTCOMES: Readonly<Record<Verb, Outcome>> = {
  ack: { verb: 'ack' },
  retry: { verb: 'retry', delay: 0 },
  later: { verb: 'retry', delay: DELAYS.later },
  reject: { verb: 'reject', reason: 'reject' },
  release: { verb: 'release' },
};

/** How many bytes a large item has: it is pushed as many are. */
const LARGE_BYTES = 8192;

/** A consumer, and what goes with it. */
interface Participant {
  readonly name: string;
  readonly queue: string;
  readonly place: Place;
  readonly connection: DriverConnection;
  readonly make: () => Consumer;
  consumer: Consumer;
  /** All that it ever took, in that order. */
  readonly taken: Held[];
  /** What was settled with the answer that it came to that. */
  readonly settled: Set<Held>;
  hops: Sender | undefined;
  isGone: boolean;
}

/** A driver under a history: carries out what is to be compared, and says what came of it as the model says it. */
export class World {
  readonly #ground: Ground;
  readonly #queues: Readonly<Record<'jobs' | 'next', string>>;
  readonly #pusher: DriverConnection;
  readonly #watch: DriverConnection;
  readonly #senders: Record<'left' | 'right', Sender>;
  readonly #participants: Participant[] = [];
  readonly #watchers: Consumer[];
  readonly #opened: DriverConnection[];
  #hadTrouble = false;
  /** What consumers were told that can't be. */
  readonly #wrong: string[] = [];

  private constructor(ground: Ground, pusher: DriverConnection, watch: DriverConnection, queue: string) {
    this.#ground = ground;
    this.#pusher = pusher;
    this.#watch = watch;
    this.#queues = { jobs: queue, next: `${queue}:next` };
    this.#opened = [pusher, watch];
    const { jobs, next } = this.#queues;
    this.#senders = { left: pusher.sender(jobs, { side: 'left' }), right: pusher.sender(jobs, { side: 'right' }) };
    this.#watchers = [jobs, next].map((one) =>
      watch.consumer(
        one,
        this.#options('watch', () => {}),
      ),
    );
  }

  /** @param queue a name that no other history has */
  static async open(ground: Ground, queue: string): Promise<World> {
    const [pusher, watch] = await Promise.all([ground.connect('pusher'), ground.connect('watch')]);
    const world = new World(ground, pusher, watch, queue);
    await world.totals();
    return world;
  }

  get name(): string {
    return this.#ground.name;
  }

  /** How many have started. */
  get participants(): number {
    return this.#participants.length;
  }

  /** Asks something of a participant, or of the pusher, whose next answer is lost on the way. */
  async losing<Answer>(who: number | 'pusher', ask: () => Promise<Answer>): Promise<Answer> {
    const place = who === 'pusher' ? who : this.#participant(who).place;
    const connection = who === 'pusher' ? this.#pusher : this.#participant(who).connection;
    void this.#loseAnswer(place);
    const answer = await ask();
    // If nothing was to be asked of the broker, this is what is lost.
    await connection.inspect(this.#queues.jobs);
    return answer;
  }

  async push(bodies: readonly string[], side: 'left' | 'right', delay: number): Promise<boolean> {
    return this.#senders[side].send(bodies.map(bytesOf), { delay });
  }

  /** Sends all from the first item on, under one name, in batches that are on their way together. */
  async import(bodies: readonly string[], batch: number): Promise<boolean[]> {
    const sender = this.#pusher.sender(this.#queues.jobs, { side: 'left', producer: 'import' });
    const sent: Promise<boolean>[] = [];
    for (let from = 0; from < bodies.length; from += batch) {
      sent.push(sender.send(bodies.slice(from, from + batch).map(bytesOf)));
    }
    const answers = await Promise.all(sent);
    await sender.close();
    return answers;
  }

  /** Participants have numbers, in the order in which they start. */
  async start(name: string, queue: 'jobs' | 'next' = 'jobs', losesAnswer = false): Promise<void> {
    const place = NAMES.find((one) => one === name) ?? 'watch';
    const connection = await this.#ground.connect(place);
    this.#opened.push(connection);
    if (losesAnswer) void this.#loseAnswer(place);
    const make = (): Consumer =>
      connection.consumer(
        this.#queues[queue],
        this.#options(name, (items) => {
          if (items.some((item) => participant.settled.has(item))) this.#wrong.push(`${name} lost what it had settled`);
        }),
      );
    const participant: Participant = {
      name,
      queue: this.#queues[queue],
      place,
      connection,
      make,
      consumer: make(),
      taken: [],
      settled: new Set(),
      hops: undefined,
      isGone: false,
    };
    this.#participants.push(participant);
    await heard(participant);
  }

  /** What there is at once: the call is cancelled as soon as it was made. */
  async take(who: number, max: number): Promise<string[] | 'fenced'> {
    const { consumer, taken } = this.#participant(who);
    const receiving = consumer.receive(max);
    consumer.cancel();
    try {
      const items = await receiving;
      taken.push(...items);
      return items.map(({ bytes, attempt }) => `${textOf(bytes)}#${attempt}`);
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'ERR_MILLRACE_FENCED');
      return 'fenced';
    }
  }

  /** A call that waits until items are pushed. The first that comes is handed over at once, or none. */
  async wait(
    who: number,
    max: number,
    bodies: readonly string[],
    hands: boolean,
    losesAnswer: boolean,
  ): Promise<string[]> {
    const participant = this.#participant(who);
    const { consumer, taken } = participant;
    const received = new AbortController();
    const receiving = consumer.receive(max, hands).then((items) => {
      received.abort();
      if (hands) for (const item of items.slice(0, 1)) consumer.handOver(item);
      return items;
    });
    await this.#ground.waits();
    if (losesAnswer) void this.#loseAnswer(participant.place);
    await this.push(bodies, 'left', 0);
    await this.#ground.waits(received.signal);
    // If it waits anew, it has got nothing.
    consumer.cancel();
    const items = await receiving;
    taken.push(...items);
    await heard(participant);
    const got = items.map(({ bytes, attempt }) => `${textOf(bytes)}#${attempt}`);
    // A driver may give what it has waited for first.
    return got.length > 0 && got.length < max ? [...got, ...(await this.take(who, max - got.length))] : got;
  }

  /** Acknowledges one item after the other as it comes, and waits for the next, which is pushed at that moment. */
  async serve(who: number, bodies: readonly string[], losesAnswer: boolean): Promise<(string | boolean)[]> {
    const participant = this.#participant(who);
    const { consumer, taken, settled, place } = participant;
    const answers: (string | Promise<boolean>)[] = [];
    const pushed: Promise<boolean>[] = [];
    for (const [index, body] of bodies.entries()) {
      const received = new AbortController();
      const receiving = consumer.receive(2, true);
      if (index === 0) await this.#ground.waits();
      const pushing = this.push([body], 'left', 0);
      pushed.push(pushing);
      // If it waits on, it has got nothing.
      const isLost = pushing.then(() => this.#ground.waits(received.signal)).then(() => !received.signal.aborted);
      void isLost.then((isSo) => isSo && consumer.cancel());
      const items = await receiving;
      received.abort();
      for (const item of items) {
        taken.push(item);
        settled.add(item);
        answers.push(`${textOf(item.bytes)}#${item.attempt}`, consumer.settle(item, OUTCOMES.ack));
      }
      if (losesAnswer && index === bodies.length - 2) void this.#loseAnswer(place);
    }
    // What there is when it asks next it does not know.
    consumer.cancel();
    await Promise.all(pushed);
    await heard(participant);
    return Promise.all(answers);
  }

  /** Dies while it waits, of an item that is on its way to it. */
  async dieWaiting(who: number, bodies: readonly string[]): Promise<void> {
    const { consumer, place } = this.#participant(who);
    const receiving = consumer.receive(1).catch(() => {});
    await this.#ground.waits();
    const lost = this.#loseAnswer(place);
    await Promise.all([lost.then(() => this.crash(who)), this.push(bodies, 'left', 0)]);
    // What has died in memory never answers.
    consumer.cancel();
    await receiving;
  }

  async handOver(who: number, items: readonly number[]): Promise<void> {
    const participant = this.#participant(who);
    for (const index of items) participant.consumer.handOver(itemOf(participant, index));
    await heard(participant);
  }

  settle(who: number, said: readonly (readonly [item: number, verb: Verb])[]): Promise<boolean[]> {
    const participant = this.#participant(who);
    const answers = said.map(async ([index, verb]) => {
      const item = itemOf(participant, index);
      const answer = await participant.consumer.settle(item, OUTCOMES[verb]);
      if (answer) participant.settled.add(item);
      return answer;
    });
    return Promise.all(answers);
  }

  async hop(who: number, items: readonly number[], bodies: readonly string[], delay: number): Promise<boolean> {
    const participant = this.#participant(who);
    participant.hops ??= participant.connection.sender(this.#queues.next, { side: 'left' });
    const settles = { consumer: participant.consumer, items: items.map((index) => itemOf(participant, index)) };
    const answer = await participant.hops.send(bodies.map(bytesOf), { delay, settles });
    if (answer) for (const item of settles.items) participant.settled.add(item);
    return answer;
  }

  async crash(who: number): Promise<void> {
    const participant = this.#participant(who);
    await this.#ground.crash(participant.connection, participant.consumer);
    this.#hadTrouble = true;
    participant.isGone = true;
    await participant.consumer.close(AbortSignal.abort());
  }

  async close(who: number): Promise<void> {
    const { connection, consumer, hops } = this.#participant(who);
    // A sender that is closed while the broker is away leaves its last number there, for an hour.
    await connection.ready();
    await hops?.close();
    await consumer.close();
  }

  stall(who: number): void {
    this.#ground.stall(this.#participant(who).consumer);
  }

  wake(who: number): void {
    const participant = this.#participant(who);
    participant.consumer = this.#ground.wake(participant.consumer, participant.make);
  }

  async step(alive: readonly string[]): Promise<void> {
    await this.#ground.step(Object.values(this.#queues), [...alive, 'watch']);
  }

  async totals(): Promise<Totals[]> {
    assert.deepEqual(this.#wrong, []);
    const infos = await Promise.all(Object.values(this.#queues).map((queue) => this.#watch.inspect(queue)));
    return infos.map(({ waiting, delayed, inProcess, dead, pushed, settled, consumers }) => {
      const held = Object.fromEntries(consumers.filter((one) => one.held > 0).map((one) => [one.name, one.held]));
      return { waiting, delayed, inProcess, dead, pushed, settled, held };
    });
  }

  /** Takes all dead letters out. */
  async exhume(queue: 'jobs' | 'next'): Promise<string[]> {
    const name = this.#queues[queue];
    const letters = await this.#watch.deadLetters(name, undefined, 1000);
    for (const { id } of letters) assert.equal(await this.#watch.drop(name, id), true);
    return letters.map(({ bytes, attempts, reason }) => `${textOf(bytes)}#${attempts}: ${reason}`);
  }

  /** What is left in the broker once all is settled and everybody has gone. */
  async leave(): Promise<string[]> {
    const present = this.#participants.filter(({ isGone }) => !isGone);
    for (const participant of present) await this.close(this.#participants.indexOf(participant));
    await this.#pusher.ready();
    for (const sender of Object.values(this.#senders)) await sender.close();
    // What is said at last waits for no answer.
    const connections = [this.#pusher, ...present.map(({ connection }) => connection)];
    await Promise.all(connections.map((connection) => connection.inspect(this.#queues.jobs)));
    for (const watcher of this.#watchers) await watcher.close();
    const left = Object.values(this.#queues).map((queue) => this.#ground.leftovers(queue, this.#hadTrouble));
    return (await Promise.all(left)).flat();
  }

  /** Ends, however the history has ended. */
  async end(): Promise<void> {
    await Promise.all(this.#opened.map((connection) => connection.close()));
    const consumers = [...this.#watchers, ...this.#participants.map(({ consumer }) => consumer)];
    await Promise.all(consumers.map((consumer) => consumer.close(AbortSignal.abort())));
    await Promise.all(Object.values(this.#senders).map((sender) => sender.close()));
    await Promise.all(this.#participants.map(({ hops }) => hops?.close()));
    await this.#ground.clear();
  }

  #loseAnswer(place: Place): Promise<void> {
    this.#hadTrouble = true;
    return this.#ground.loseAnswer(place);
  }

  #participant(who: number): Participant {
    return this.#participants[who] as Participant;
  }

  #options(name: string, onLost: (items: readonly Held[]) => void) {
    return { name, leaseTimeout: LEASE, maxAttempts: MAX_ATTEMPTS, onLost };
  }
}

/** Resolves when the broker has heard all that was said on a participant's connection: commands go one behind the other. */
async function heard({ connection, queue }: Participant): Promise<void> {
  await connection.inspect(queue);
}

function itemOf({ taken }: Participant, index: number): Held {
  return taken[index] as Held;
}

/** A character is a byte, but for the one that stands for many. */
function bytesOf(body: string): Buffer {
  return body === LARGE ? Buffer.alloc(LARGE_BYTES, LARGE) : Buffer.from(body, 'latin1');
}

function textOf(bytes: Buffer): string {
  return bytes.length === LARGE_BYTES ? LARGE : bytes.toString('latin1');
}
