import { finished, type Readable } from './streams.ts';

/**
 * What `for await` reads a stream with: as Node's own iterator it ends with the stream, rejects with its error, and destroys it when
 * the loop is left. It answers at once while the stream has values, where Node's generator takes three turns for each; measured, that
 * is a third of the cost of a value.
 */
export class StreamIterator<T> implements NodeJS.AsyncIterator<T, undefined> {
  readonly #stream: InstanceType<typeof Readable>;
  readonly #waiting: (() => void)[] = [];
  #over = false;
  #error: Error | undefined;

  constructor(stream: InstanceType<typeof Readable>) {
    this.#stream = stream;
    stream.on('readable', () => this.#wake());
    finished(stream, { writable: false }, (error) => {
      this.#over = true;
      if (error) this.#error = error;
      this.#wake();
    });
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const value: T | null = this.#stream.read();
    return value === null ? this.#wait() : Promise.resolve({ value, done: false });
  }

  /** Destroys a stream that has not ended; with an AbortError, as Node does. */
  async return(): Promise<IteratorResult<T, undefined>> {
    if (!this.#over) this.#stream.destroy(new DOMException('The iteration was left', 'AbortError'));
    return { value: undefined, done: true };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #wait(): Promise<IteratorResult<T, undefined>> {
    for (;;) {
      if (this.#over) return this.#end();
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
      const value: T | null = this.#stream.read();
      if (value !== null) return { value, done: false };
    }
  }

  #end(): IteratorResult<T, undefined> {
    const error = this.#error;
    this.#error = undefined;
    if (error) throw error;
    return { value: undefined, done: true };
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
