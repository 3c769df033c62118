/** The promise of a job's result. */
export class Job<T> extends Promise<T> {
  /** The end of a chain: what nobody has caught is thrown, in a turn of its own. */
  done(onFulfilled?: ((result: T) => unknown) | null, onRejected?: ((reason: unknown) => unknown) | null): void {
    this.then(onFulfilled, onRejected).then(undefined, (error) => {
      setImmediate(() => {
        throw error;
      });
    });
  }

  // A chain of jobs is made of jobs, which TypeScript does not know of a Promise's methods.
  // biome-ignore lint/suspicious/noThenProperty: a promise has one
  declare then: <A = T, B = never>(
    onFulfilled?: ((result: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ) => Job<A | B>;
  declare catch: <B = never>(onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null) => Job<T | B>;
}
