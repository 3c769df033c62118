import readableStream from 'readable-stream';

/**
 * The one place that imports readable-stream: its classes are the same on every version of Node. They are typed as Node's own,
 * with which they are interchangeable, so that the published declarations need `@types/node` alone (`@types/readable-stream`
 * types `Writable[Symbol.asyncDispose]` as `never`).
 */
const streams = readableStream as unknown as typeof import('node:stream');

export const Readable: typeof streams.Readable = streams.Readable;
export const Writable: typeof streams.Writable = streams.Writable;
/** Calls back, or settles, when a stream has ended, failed or been closed. */
export const finished: typeof streams.finished = streams.finished;
/** Destroys a stream when a signal is aborted. */
export const addAbortSignal: typeof streams.addAbortSignal = streams.addAbortSignal;
