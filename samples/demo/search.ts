import { randomUUID } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { type Connection, DeliveryStream, PushStream } from '../../lib/index.ts';
import type { Result } from './hash.ts';
import { type PassedBy, walk } from './walk.ts';
import { LEASE, resultsOf, type Worker } from './workers.ts';

export interface SearchOptions {
  folder: string;
  queue: string;
  connection: Connection;
  startWorkers: () => Worker[];
  /** Told how many files are done, and how many have been found so far. */
  onProgress: (done: number, found: number) => void;
}

/**
 * Pushes the path of every file into one queue, lets workers hash the files, and pulls the results out of another. Workers
 * can't know that nothing more will come; the search does, when no path is without a result, and stops them.
 */
export class Search {
  readonly results = new Map<string, Result>();
  readonly passedBy: PassedBy = { links: 0, others: 0, folders: 0 };
  /** Why workers ended too early. */
  readonly failures: Error[] = [];
  readonly #options: SearchOptions;
  /** The paths that were pushed and have no result yet. */
  readonly #waiting = new Set<string>();
  readonly #stopping = new AbortController();
  #workers: Worker[] = [];
  #walked = false;

  constructor(options: SearchOptions) {
    this.#options = options;
  }

  /** How many paths have no result. When the search is over they are in the queue, but for what a dead worker's lease still holds. */
  get left(): number {
    return this.#waiting.size;
  }

  /** Whether every file was found and done. */
  get complete(): boolean {
    return this.#walked && this.left === 0;
  }

  /** Walks no further and stops the workers: {@link run} resolves as soon as they have finished what is in their hands. */
  stop(): void {
    this.#stopping.abort();
    for (const worker of this.#workers) worker.stop();
  }

  /** If it is stopped, paths and results are in their queues afterwards, and the next search with the same queue goes on. */
  async run(): Promise<void> {
    const { queue, startWorkers } = this.#options;
    const left: string[] = [];
    for await (const path of this.#takeOut<string>(queue)) left.push(path);
    for await (const result of this.#takeOut<Result>(resultsOf(queue))) this.results.set(result.path, result);

    if (!this.#stopping.signal.aborted) this.#workers = startWorkers();
    const end = randomUUID();
    try {
      await Promise.all([
        this.#pushPaths(left),
        this.#collect(end),
        this.#workersEnd().then(() => this.#push(resultsOf(queue), [end])),
      ]);
    } finally {
      this.stop();
    }
    if (!this.complete) await this.#push(resultsOf(queue), this.results.values());
  }

  async #pushPaths(left: string[]): Promise<void> {
    await this.#push(this.#options.queue, this.#paths(left));
    this.#progress();
  }

  /** The paths to push: what is left from before, then what the walk finds and nobody has seen yet. */
  async *#paths(left: string[]): AsyncGenerator<string> {
    for (const path of left) {
      this.#waiting.add(path);
      yield path;
    }
    const { signal } = this.#stopping;
    for await (const path of walk(this.#options.folder, this.passedBy, signal)) {
      if (this.results.has(path) || this.#waiting.has(path)) continue;
      this.#waiting.add(path);
      yield path;
    }
    this.#walked = !signal.aborted;
  }

  async #collect(end: string): Promise<void> {
    for await (const result of this.#pullUpTo<Result>(end, resultsOf(this.#options.queue))) {
      this.#waiting.delete(result.path);
      this.results.set(result.path, result);
      this.#progress();
    }
  }

  #progress(): void {
    this.#options.onProgress(this.results.size, this.results.size + this.left);
    if (this.complete) this.stop();
  }

  /** Resolves when all workers have stored their last results. If one fails, the others are stopped. */
  async #workersEnd(): Promise<void> {
    const ends = this.#workers.map(({ ended }) => ended.finally(() => this.stop()));
    for (const end of await Promise.allSettled(ends)) if (end.status === 'rejected') this.failures.push(end.reason);
  }

  #push(queue: string, items: Iterable<unknown> | AsyncIterable<unknown>): Promise<void> {
    return pipeline(items, new PushStream(queue, { connection: this.#options.connection }));
  }

  /** All that is in a queue now: what comes before a mark that is pushed behind it. */
  async *#takeOut<Item>(queue: string): AsyncGenerator<Item> {
    const mark = randomUUID();
    await this.#push(queue, [mark]);
    yield* this.#pullUpTo<Item>(mark, queue);
  }

  async *#pullUpTo<Item>(mark: string, queue: string): AsyncGenerator<Item> {
    const { connection } = this.#options;
    await using items = new DeliveryStream<Item | string>(queue, { connection, leaseTimeout: LEASE });
    for await (const item of items) {
      void item.ack();
      if (item.value === mark) return;
      yield item.value as Item;
    }
  }
}
