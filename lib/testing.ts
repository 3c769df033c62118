/** For the tests of programs that use millrace: a broker in the process whose time stands still until it is moved on. */
import { Connection, everything, internal } from './connect.ts';
import { ManualClock } from './drivers/memory/clock.ts';
import { MemoryConnection } from './drivers/memory/connection.ts';
import type { MemoryConsumer } from './drivers/memory/consumer.ts';
import { Store } from './drivers/memory/store.ts';
import { invalidType, invalidValue, MillraceError } from './errors.ts';
import { type CloseOptions, checkQueueName, milliseconds } from './options.ts';

/** A broker of its own, as `memory:` is, in the hands of a test. Made by {@link memory}. */
export class TestConnection extends Connection {
  readonly #store: Store;
  readonly #clock: ManualClock;
  readonly #crashed = new Set<MemoryConsumer>();
  /** Those who wait in {@link idle} for a change. */
  readonly #idlers = new Set<{ resolve(): void; reject(error: Error): void }>();

  /** @internal */
  constructor(store: Store, clock: ManualClock) {
    super('memory:', { supports: everything, connect: (_target, options) => new MemoryConnection(store, options) }, {});
    this.#store = store;
    this.#clock = clock;
    store.onChange = () => {
      for (const { resolve } of this.#idlers) resolve();
      this.#idlers.clear();
    };
  }

  /**
   * Moves the broker's time on: what is delayed, retried after a while or held by a consumer that has crashed comes when it
   * is due, in the order of time, each followed by a turn of the event loop in which streams can work on it. Until then the
   * broker's time stands still. Only its own time: the time limit of a handler, or of a close, is that of the process.
   *
   * @param ms milliseconds, an integer from 0 to 2 ** 31 - 1
   * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE: by the promise
   */
  async advance(ms: number): Promise<void> {
    milliseconds(ms, 'ms');
    await this.#clock.advance(ms, nextTurn);
  }

  /**
   * Resolves once there is nothing to be done: no item waits in the queue, or in any if none is named, no consumer holds one,
   * and no push waits for room. What is delayed does not count.
   * What a PullStream has taken is out of the broker's sight, and so not waited for.
   *
   * Rejects with `ERR_MILLRACE_CLOSED` when the connection is closed meanwhile.
   *
   * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE where the name is wrong: by the promise
   */
  async idle(queue?: string): Promise<void> {
    if (queue !== undefined) checkQueueName(queue);
    // Twice: what was written or released in this turn is not with the broker yet, and what it gave is not with its stream.
    for (let quiet = 0; quiet < 2; ) {
      await nextTurn();
      if (this.#isIdle(queue)) quiet += 1;
      else {
        quiet = 0;
        await this.#change();
      }
    }
  }

  /**
   * Lets the consumers of a name die, as if their process had: their streams get nothing more and what they settle is not
   * heard, but they are not told before the connection is closed. What they hold comes again once their `leaseTimeout` has passed by {@link advance}, or as soon as
   * another consumer starts under that name; what was handed to a handler is then one attempt further.
   *
   * @param consumer the name, as the `consumer` option gave it
   * @throws ERR_INVALID_ARG_TYPE; ERR_INVALID_ARG_VALUE, which says which consumers are alive, where none has that name
   */
  crash(consumer: string): void {
    if (typeof consumer !== 'string') throw invalidType('consumer', 'of type string', consumer);
    const live = this.#store.consumers.filter(({ isLive }) => isLive);
    const named = live.filter(({ name }) => name === consumer);
    if (named.length === 0) {
      const names = [...new Set(live.map(({ name }) => `'${name}'`))].join(', ');
      throw invalidValue('consumer', `the name of a live consumer (${names || 'there are none'})`, consumer);
    }
    for (const one of named) {
      one.crash();
      this.#crashed.add(one);
    }
  }

  override close(options?: CloseOptions): Promise<void> {
    const closing = super.close(options);
    for (const one of this.#crashed) one.mourn();
    this.#crashed.clear();
    return closing.finally(() => {
      for (const { reject } of this.#idlers) reject(closed());
      this.#idlers.clear();
    });
  }

  #isIdle(queue: string | undefined): boolean {
    const queues = queue === undefined ? [...this.#store.queues.values()] : [this.#store.queue(queue)];
    return queues.every(({ isIdle }) => isIdle);
  }

  /** Resolves when something has changed in a queue. */
  #change(): Promise<void> {
    if (this[internal].closing()) return Promise.reject(closed());
    return new Promise((resolve, reject) => this.#idlers.add({ resolve, reject }));
  }
}

/**
 * Gives a broker for a test: a connection that needs no server, shares nothing with any other, and whose time the test moves.
 *
 * ```js
 * const connection = memory();
 * work('jobs', handler, { connection });
 * await new PushStream('jobs', { connection }).send(job, { delay: 60_000 });
 * await connection.advance(60_000);
 * await connection.idle();
 * ```
 */
export function memory(): TestConnection {
  const clock = new ManualClock(Date.now());
  return new TestConnection(new Store(clock), clock);
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function closed(): MillraceError {
  return new MillraceError('CLOSED', 'The connection was closed before its queues were idle');
}
