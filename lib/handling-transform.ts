import type { Handling } from './handling.ts';
import { pushTo, Transform } from './streams.ts';

type Callback = (error?: Error | null) => void;

/** What the Transforms that run handlers have in common: one takes as much as its handlers can, and is read as fast as it is. */
export abstract class HandlingTransform extends Transform {
  /** @internal */
  protected abstract readonly handling: Handling;
  #room = true;

  /** As Node's, but for its answer: false only when no handler is free. */
  override write(chunk: unknown, callback?: (error: Error | null | undefined) => void): boolean;
  override write(
    chunk: unknown,
    encoding: BufferEncoding,
    callback?: (error: Error | null | undefined) => void,
  ): boolean;
  override write(chunk: unknown, encoding?: unknown, callback?: unknown): boolean {
    const more = super.write(chunk, encoding as BufferEncoding, callback as never);
    return more || (this.writable && this.writableLength === 0);
  }

  override _flush(callback: Callback): void {
    this.handling.whenIdle(callback);
  }

  override _read(size: number): void {
    this.#room = true;
    this.handling.next();
    // Behind that: Node holds back the callback of a write as long as its own rules say, and here it is to let go of it.
    super._read(size);
  }

  /**
   * Whether Node would take more to be read.
   *
   * @internal
   */
  protected get room(): boolean {
    return this.#room;
  }

  /**
   * Gives something to whoever reads.
   *
   * @internal
   */
  protected pass(value: unknown): void {
    this.#room = pushTo(this, value);
  }
}
