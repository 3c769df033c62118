import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { QueueInfo } from '../../lib/driver.ts';
import { type Connection, connect } from '../../lib/index.ts';
import { random } from '../support/random.ts';
import { RedisServer, TEST_CLIENT } from '../support/redis.ts';
import { Child } from './child.ts';

/** What makes a server have, after a kill, all that it had acknowledged. */
export const DURABLE = ['--appendonly', 'yes', '--appendfsync', 'always'];

/** How long nothing may get on before a run is given up, in milliseconds: so long that it is not for want of speed. */
const STALLED = 60_000;

/** How often what nobody tells of is looked at, in milliseconds. */
const LOOK = 20;

/** How often what is disturbed. */
export interface Plan {
  readonly cuts: number;
  readonly serverKills: number;
  readonly workerKills: number;
  readonly takeovers: number;
}

/** What is done. */
export interface Work {
  /** Those that are to be empty in the end. */
  readonly queues: readonly string[];
  /** What each worker runs. */
  readonly script: string;
  /** What a worker is told, beside the name of its `consumer`: by its number, from 0. */
  settingsOf(number: number): object;
}

/** A process, and the name under which it takes items. */
export interface Worker {
  readonly consumer: string;
  readonly child: Child;
  /** How many items it held, at most, when it was killed, or another took over from it. */
  held?: number;
}

/** A server, processes that work on its queues, and all that befalls them, in an order that is the same for the same seed. */
export class Chaos implements AsyncDisposable {
  readonly server: RedisServer;
  readonly client: Redis;
  /** All that have ever been started. */
  readonly workers: Worker[] = [];
  readonly #work: Work;
  readonly #dice = random();
  readonly #connection: Connection;
  #done = 0;
  #failure: Error | undefined;

  private constructor(server: RedisServer, work: Work) {
    this.server = server;
    this.client = server.client();
    this.#work = work;
    this.#connection = connect(server.url);
  }

  static async start(work: Work): Promise<Chaos> {
    return new Chaos(await RedisServer.start(...DURABLE), work);
  }

  startWorker(consumer: string = randomUUID()): Worker {
    const settings = { ...this.#work.settingsOf(this.workers.length), consumer };
    const child = new Child(this.#work.script, this.server.url, settings, (count) => {
      this.#done += count;
    });
    const worker: Worker = { consumer, child };
    this.workers.push(worker);
    child.ended().catch((error) => {
      if (worker.held === undefined) this.#failure = error;
    });
    return worker;
  }

  /** Disturbs whoever works on `total` items, up to when nine tenths are done; the rest is to be done in peace. */
  async disturb(plan: Plan, total: number): Promise<void> {
    const events = this.#shuffled([
      ...Array.from({ length: plan.cuts }, () => () => this.#cut()),
      ...Array.from({ length: plan.serverKills }, () => () => this.#killServer()),
      ...Array.from({ length: plan.workerKills }, () => () => this.#killWorker()),
      ...Array.from({ length: plan.takeovers }, () => () => this.#takeOver()),
    ]);
    for (const [index, happen] of events.entries()) {
      const from = ((index + this.#dice()) / events.length) * 0.9 * total;
      await this.#until(() => this.#done >= from);
      await happen();
    }
  }

  /** Has the workers do what is left, and end; then there is nothing left of them. */
  async end(): Promise<void> {
    await this.#until(() => this.#isOver());
    await Promise.all(this.#live.map(({ child }) => child.stop()));
  }

  /** What befell whom, in a few words. */
  toString(): string {
    const killed = this.workers.flatMap(({ held }) => (held === undefined ? [] : [held]));
    return `${this.#done} done by ${this.workers.length} workers, those killed held ${killed.join(', ')}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.workers.map(({ child }) => child[Symbol.asyncDispose]()));
    await this.#connection.close();
    await this.server[Symbol.asyncDispose]();
  }

  get #live(): Worker[] {
    return this.workers.filter(({ held }) => held === undefined);
  }

  /** Whether nothing is in the queues, and nobody has them but who lives. */
  async #isOver(): Promise<boolean> {
    const live = new Set(this.#live.map(({ consumer }) => consumer));
    return (await this.#inspectAll()).every(
      ({ waiting, delayed, inProcess, consumers }) =>
        waiting + delayed + inProcess === 0 && consumers.every(({ name }) => live.has(name)),
    );
  }

  /** Kills the connection of somebody, but of the test itself. */
  async #cut(): Promise<void> {
    let killed: unknown = 0;
    await this.#until(async () => {
      const list = (await this.client.client('LIST')) as string;
      const ids = Array.from(list.matchAll(/^id=(\d+) .* name=(\S*) /gm))
        .filter(([, , name]) => name !== TEST_CLIENT)
        .map(([, id]) => String(id));
      if (ids.length > 0) killed = await this.client.client('KILL', 'ID', this.#one(ids));
      return killed === 1;
    });
  }

  async #killServer(): Promise<void> {
    await this.server.kill();
    await this.server.start();
  }

  /** Kills one that is at work, and starts another: under its name, or under a new one. */
  async #killWorker(): Promise<void> {
    const worker = await this.#oneAtWork();
    worker.held = Number.POSITIVE_INFINITY;
    await worker.child.kill();
    worker.held = await this.#heldBy(worker);
    this.startWorker(this.#dice() < 0.5 ? worker.consumer : undefined);
  }

  /** Stops one that is at work until another has taken over from it, and lets it go on then, in vain. */
  async #takeOver(): Promise<void> {
    const worker = await this.#oneAtWork();
    worker.child.freeze(true);
    // The second time what it had asked for is there, but for what a pop that waits may still get.
    await this.#heldBy(worker);
    worker.held = (await this.#heldBy(worker)) + this.#work.queues.length;
    const { child } = this.startWorker(worker.consumer);
    await this.#until(() => child.done > 0);
    worker.child.freeze(false);
    await worker.child.hear('fenced');
    await worker.child.stop();
  }

  async #oneAtWork(): Promise<Worker> {
    const atWork = (): Worker[] => this.#live.filter(({ child }) => child.done > 0);
    await this.#until(() => atWork().length > 0);
    return this.#one(atWork());
  }

  async #heldBy({ consumer }: Worker): Promise<number> {
    const infos = await this.#inspectAll();
    const own = infos.flatMap(({ consumers }) => consumers.filter(({ name }) => name === consumer));
    return own.reduce((sum, { held }) => sum + held, 0);
  }

  #inspectAll(): Promise<QueueInfo[]> {
    return Promise.all(this.#work.queues.map((queue) => this.#connection.inspect(queue)));
  }

  /** Waits for something that comes with the work; rejects when that stands still, or a worker ends by itself. */
  async #until(condition: () => boolean | Promise<boolean>): Promise<void> {
    let before = this.#done;
    let since = performance.now();
    while (!(await condition())) {
      if (this.#failure) throw this.#failure;
      if (this.#done > before) since = performance.now();
      before = this.#done;
      if (performance.now() - since > STALLED) throw new Error(`stands still: ${await this.#state()}`);
      await delay(LOOK);
    }
  }

  async #state(): Promise<string> {
    return `${this} ${JSON.stringify(await this.#inspectAll())}`;
  }

  #one<T>(all: readonly T[]): T {
    return all[Math.floor(this.#dice() * all.length)] as T;
  }

  #shuffled<T>(all: T[]): T[] {
    for (let i = all.length - 1; i > 0; i -= 1) {
      const j = Math.floor(this.#dice() * (i + 1));
      [all[i], all[j]] = [all[j] as T, all[i] as T];
    }
    return all;
  }
}
