import { Bag, type Bagged } from './bag.ts';
import { type Delivery, type Receipt, type Share, shareOf } from './delivery.ts';
import { invalidType, MillraceError } from './errors.ts';
import { type Check, type Filled, integer, LONGEST_TIMER, withDefaults } from './options.ts';

/** How the handlers of a stream are run. */
export interface HandleOptions {
  /** How many run at a time; default 1. */
  concurrency?: number;
  /**
   * Milliseconds after which a handler is given up: its signal is aborted with `ERR_MILLRACE_TIMEOUT`, its delivery is retried with
   * that as the reason, or its request answered with it, and the next one starts, though it may still be running. What it does then is
   * ignored. Default: none.
   */
  timeout?: number;
}

/**
 * Works on one value. The delivery is its context, with the signal that says when to give up. What it returns, or the promise of
 * it, is its result; what it throws, or rejects with, is why its delivery is retried. It may also settle the delivery itself.
 */
export type Handler<T, R> = (value: T, delivery: Delivery<T>) => R | PromiseLike<R>;

/** The checks of the options of handling. */
export const handleChecks = { concurrency: integer(1), timeout: integer(1, LONGEST_TIMER) };

/** The defaults of the options of handling. */
export const handleDefaults = { concurrency: 1 } as const satisfies HandleOptions;

/** The options of handling, checked and filled in. */
export function handleOptions(options: HandleOptions | undefined): Filled<HandleOptions, typeof handleDefaults> {
  return withDefaults<HandleOptions, typeof handleDefaults>(options, handleChecks, handleDefaults);
}

/** Checks a handler. */
export const handler: Check = (value, name) => {
  if (typeof value !== 'function') throw invalidType(name, 'of type function', value);
};

type Callback = (error?: Error | null) => void;

/** A delivery that is being worked on. */
class Task implements Bagged {
  readonly delivery: Delivery;
  readonly share: Share;
  place = -1;
  timer: NodeJS.Timeout | undefined = undefined;

  constructor(delivery: Delivery, share: Share) {
    this.delivery = delivery;
    this.share = share;
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (typeof value !== 'object' && typeof value !== 'function') return false;
  return typeof (value as { then?: unknown } | null)?.then === 'function';
}

/** What a stream does with the deliveries that its handler has worked on. */
export interface Handled {
  /**
   * Called with the result of a handler, also of one that was given up before. Where it gives a promise that is awaited in the place of the
   * result, without a time limit.
   */
  follow?(delivery: Delivery, result: unknown): Promise<unknown> | undefined;
  /** Called with the result of a handler that has not settled its delivery. */
  fulfilled(delivery: Delivery, result: unknown): void;
  /** Called with what such a handler has thrown or rejected with, or with why it is given up. */
  failed(delivery: Delivery, error: unknown): void;
  /** Whether the next handler may start, as far as the stream is concerned. */
  hasRoom(): boolean;
}

/** Why a handler is given up whose time is over. */
export function lateError(timeout: number | undefined): MillraceError {
  return new MillraceError('TIMEOUT', `A handler was not done within ${timeout} ms`);
}

/** What becomes, by default, of a delivery whose handler has failed. */
export function retry(delivery: Delivery, reason: unknown): void {
  void delivery.retry({ reason });
}

/** Runs a handler on deliveries, several at a time, and has each settled by its own outcome. */
export class Handling {
  readonly #handler: Handler<never, unknown> | undefined;
  readonly #concurrency: number;
  readonly #timeout: number | undefined;
  readonly #handled: Handled;
  readonly #running = new Bag<Task>();
  /** Asks for the next delivery, as soon as there is room for it. */
  #accept: Callback | undefined;
  #waking = false;
  /** The answers that have not come; that to the last settlement stands for all of its turn. */
  #unanswered = 0;
  #lastAnswer: Promise<boolean> | undefined;
  #whenIdle: Callback | undefined;

  /** @param handler none: each delivery is fulfilled as it comes */
  constructor(handler: Handler<never, unknown> | undefined, options: HandleOptions | undefined, handled: Handled) {
    const { concurrency, timeout } = handleOptions(options);
    this.#handler = handler;
    this.#concurrency = concurrency;
    this.#timeout = timeout;
    this.#handled = handled;
  }

  /** Starts on a delivery, and calls back when the next one may come; with an error where it is none. */
  take(delivery: unknown, callback: Callback): void {
    const share = shareOf(delivery);
    if (!share) {
      callback(invalidType('chunk', 'a delivery, as a DeliveryStream gives', delivery));
      return;
    }
    this.#accept = callback;
    // Lost or put back on its way here: others work on it.
    if (share.isOpen) this.#start(new Task(delivery as Delivery, share));
    this.next();
  }

  /** Leaves out a delivery that is settled, or lost, and calls back when the next one may come. */
  skip(receipt: Receipt | undefined, callback: Callback): void {
    this.#accept = callback;
    this.next();
    if (receipt) this.#settled(receipt);
  }

  /** The deliveries that are being worked on. */
  *running(): IterableIterator<Delivery> {
    for (const { delivery } of this.#running) yield delivery;
  }

  /** Lets the next delivery come, if there is room for it. */
  next(): void {
    if (this.#running.size >= this.#concurrency || !this.#handled.hasRoom()) return;
    const accept = this.#accept;
    this.#accept = undefined;
    accept?.();
  }

  /** Calls back, once, when no handler runs and the broker has answered to all that was settled. */
  whenIdle(callback: Callback): void {
    this.#whenIdle = callback;
    this.#checkIdle();
  }

  /** Gives up what is being worked on: signals are aborted, and deliveries put back. */
  giveUp(): void {
    const why = new MillraceError('CLOSED', 'The stream that the handler worked for is closed');
    for (const task of this.#running.empty()) {
      clearTimeout(task.timer);
      void task.delivery.release();
      task.share.receipt.abort(why);
    }
  }

  #start(task: Task): void {
    this.#running.add(task);
    if (!this.#handler) {
      this.#fulfil(task, undefined);
      return;
    }
    if (this.#timeout !== undefined) task.timer = setTimeout(() => this.#expire(task), this.#timeout);
    const { delivery } = task;
    try {
      const result = this.#handler(delivery.value as never, delivery as Delivery<never>);
      if (isThenable(result)) this.#await(task, result);
      else this.#fulfil(task, result);
    } catch (error) {
      this.#fail(task, error);
    }
  }

  #await(task: Task, result: PromiseLike<unknown>): void {
    result.then(
      (value) => this.#fulfil(task, value),
      (error) => this.#fail(task, error),
    );
  }

  #fulfil(task: Task, result: unknown): void {
    let rest: Promise<unknown> | undefined;
    try {
      rest = this.#handled.follow?.(task.delivery, result);
    } catch (error) {
      this.#fail(task, error);
      return;
    }
    if (rest) {
      clearTimeout(task.timer);
      this.#await(task, rest);
      return;
    }
    if (!this.#end(task)) return;
    if (task.share.isOpen) this.#handled.fulfilled(task.delivery, result);
    this.#settled(task.share.receipt);
  }

  #fail(task: Task, error: unknown): void {
    if (!this.#end(task)) return;
    if (task.share.isOpen) this.#handled.failed(task.delivery, error);
    this.#settled(task.share.receipt);
  }

  #expire(task: Task): void {
    if (!this.#running.delete(task)) return;
    const reason = lateError(this.#timeout);
    if (task.share.isOpen) this.#handled.failed(task.delivery, reason);
    task.share.receipt.abort(reason);
    this.#settled(task.share.receipt);
  }

  /** Whether a task was still awaited: it is not any more. */
  #end(task: Task): boolean {
    if (task.timer) clearTimeout(task.timer);
    return this.#running.delete(task);
  }

  /** Goes on behind a task, and waits for the answer to what has settled it, whoever did. */
  #settled({ answer }: Receipt): void {
    if (answer && answer !== this.#lastAnswer) {
      this.#lastAnswer = answer;
      this.#unanswered += 1;
      answer.then(() => {
        this.#unanswered -= 1;
        this.#checkIdle();
      });
    }
    this.#wake();
    this.#checkIdle();
  }

  /** Goes on when all handlers that end now have ended: to begin and stop a pipe again for each would cost more than they may do. */
  #wake(): void {
    if (this.#waking || !this.#accept) return;
    this.#waking = true;
    setImmediate(() => {
      this.#waking = false;
      this.next();
    });
  }

  #checkIdle(): void {
    if (!this.#whenIdle || this.#running.size + this.#unanswered > 0) return;
    const callback = this.#whenIdle;
    this.#whenIdle = undefined;
    callback();
  }
}
