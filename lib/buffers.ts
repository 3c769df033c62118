import { shareOf } from './delivery.ts';

/** What Node holds for the sides of a stream: neither its types nor its manual say so. */
export interface Buffers {
  readonly readableBuffer?: Iterable<unknown>;
  readonly writableBuffer?: Iterable<{
    readonly chunk: unknown;
    readonly callback: (error?: Error | null) => void;
  }>;
}

/** The buffers of a stream. */
export function buffersOf(stream: object): Buffers {
  return stream as Buffers;
}

/** Puts back the deliveries that wait in a stream which is destroyed: those that it has not begun on, and those that nobody has read. */
export function releaseBuffered(stream: object): void {
  const { readableBuffer = [], writableBuffer = [] } = buffersOf(stream);
  for (const chunk of readableBuffer) void shareOf(chunk)?.settle({ verb: 'release' });
  for (const { chunk } of writableBuffer) void shareOf(chunk)?.settle({ verb: 'release' });
}
