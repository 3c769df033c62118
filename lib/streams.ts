import readableStream from 'readable-stream';

/**
 * The one place that imports readable-stream: its classes are the same on every version of Node. They are typed as Node's own,
 * with which they are interchangeable, so that the published declarations need `@types/node` alone (`@types/readable-stream`
 * types `Writable[Symbol.asyncDispose]` as `never`).
 */
const streams = readableStream as unknown as typeof import('node:stream');

export const Readable: typeof streams.Readable = streams.Readable;
export const Writable: typeof streams.Writable = streams.Writable;
export const Duplex: typeof streams.Duplex = streams.Duplex;
export const Transform: typeof streams.Transform = streams.Transform;
/** Pipes streams into each other, and destroys all of them when one fails. */
export const pipeline: typeof streams.pipeline = streams.pipeline;
/** Calls back when a stream has ended, failed or been closed. */
export const finished: typeof streams.finished = streams.finished;
/** Destroys a stream when a signal is aborted. */
export const addAbortSignal: typeof streams.addAbortSignal = streams.addAbortSignal;

/**
 * Resolves when a stream is closed, whatever it ends with: its error is left to whoever asks. An 'error' that nobody else listens
 * to is taken care of.
 */
export async function whenClosed(stream: InstanceType<typeof Readable> | InstanceType<typeof Writable>): Promise<void> {
  if (stream.closed) return;
  stream.on('error', () => {});
  await new Promise<void>((resolve) => stream.once('close', resolve));
}

/**
 * Pushes a value; gives whether the stream would take more. A listener that throws is its owner's, and shall not cost the values behind: it
 * throws in a tick of its own.
 */
export function pushTo(stream: InstanceType<typeof Readable>, value: unknown): boolean {
  try {
    return stream.push(value);
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
    return stream.readableLength < stream.readableHighWaterMark;
  }
}
