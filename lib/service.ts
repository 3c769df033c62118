import { deliveryDefaults } from './delivery-options.ts';
import type { DeliveryStream } from './delivery-stream.ts';
import { MillraceError } from './errors.ts';
import { type CloseOptions, closeTimeout } from './options.ts';
import { pipeline, type Writable, whenClosed } from './streams.ts';
import { Deadline, within } from './timeout.ts';

/** A worker that runs until it is closed. Made by `work()` and `serve()`. */
export interface Service extends AsyncDisposable {
  /**
   * Where its deliveries come from, for those of its events that are nobody's failure: `'retry'`, `'dead'`, `'invalid'`, `'lost'`.
   * Nobody else should read it.
   */
  readonly stream: DeliveryStream;
  /** Resolves when the broker answers. Rejects when the service fails, or is closed, before. Need not be looked at. */
  readonly ready: Promise<void>;
  /**
   * Resolves when the service has been closed, or its `signal` was aborted. Rejects when it fails: where nobody looks at it, that
   * is an unhandled rejection, which ends the process, as Node has it for any failure that nobody sees to.
   */
  readonly closed: Promise<void>;
  /**
   * Takes no more, and resolves when the handlers that run are over, what they had is settled, and all else is put back. When the
   * time is over the handlers' signals are aborted and what they have is put back. Rejects when the service fails. Safe to call twice.
   */
  close(options?: CloseOptions): Promise<void>;
}

type Sink = InstanceType<typeof Writable>;

/** A service of which each stream is piped into the next. */
export class PipedService implements Service {
  readonly stream: DeliveryStream;
  readonly ready: Promise<void>;
  readonly closed: Promise<void>;
  readonly #sinks: readonly Sink[];
  #closing: Promise<void> | undefined;
  #gaveUp = false;

  /** @param sinks what the stream is piped into, one after the other */
  constructor(stream: DeliveryStream, sinks: readonly Sink[]) {
    this.stream = stream;
    this.#sinks = sinks;
    this.ready = this.#whenReady();
    this.ready.catch(() => {});
    this.closed = this.#run();
  }

  close(options?: CloseOptions): Promise<void> {
    const timeout = closeTimeout(options);
    this.#closing ??= this.#close(timeout);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #whenReady(): Promise<void> {
    const closed = whenClosed(this.stream).then(() => {
      throw this.stream.errored ?? new MillraceError('CLOSED', 'The service was closed before the broker answered');
    });
    await Promise.race([new Promise((resolve) => this.stream.once('ready', resolve)), closed]);
  }

  async #run(): Promise<void> {
    const failure = await new Promise<Error | null | undefined>((resolve) => {
      pipeline([this.stream, ...this.#sinks] as never, resolve);
    });
    // What failed may hold deliveries, also when the stream had ended before.
    if (failure) this.stream.destroy();
    await whenClosed(this.stream);
    if (failure && !this.#gaveUp && failure.name !== 'AbortError') throw failure;
  }

  async #close(timeout: number): Promise<void> {
    const deadline = new Deadline(timeout);
    await this.stream.close({ timeout });
    await within(this.closed, deadline.left).catch(() => {});
    // A handler that does not heed its signal would keep them open.
    this.#gaveUp = true;
    for (const sink of this.#sinks) sink.destroy();
    await this.closed;
  }
}

/** How many deliveries a service may hold where nothing else is said: some are on their way while its handlers have the others. */
export function heldFor(concurrency: number): number {
  return Math.max(deliveryDefaults.highWaterMark, 2 * concurrency);
}
