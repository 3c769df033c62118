import { once } from 'node:events';
import type { Connection } from '../../lib/index.ts';
import { PullStream, PushStream } from '../../lib/index.ts';

export function numbers(count: number, from = 0): number[] {
  return Array.from({ length: count }, (_, i) => from + i);
}

/** Puts values into a queue, and resolves when they are stored. */
export async function push(connection: Connection, queue: string, values: Iterable<unknown>): Promise<void> {
  const stream = new PushStream(queue, { connection });
  for (const value of values) stream.write(value);
  stream.end();
  await once(stream, 'close');
}

/** The next `count` values of a queue, taken out of it. */
export async function take(connection: Connection, queue: string, count: number): Promise<unknown[]> {
  const values: unknown[] = [];
  if (count === 0) return values;
  const stream = new PullStream(queue, { connection });
  for await (const value of stream) {
    values.push(value);
    if (values.length === count) break;
  }
  // `break` does not wait until what was popped ahead is back.
  await closed(stream);
  return values;
}

const END = { end: 'of the queue' };

/** All that is in a queue now, taken out of it: up to an item that is put behind them. */
export async function drain(connection: Connection, queue: string): Promise<unknown[]> {
  await push(connection, queue, [END]);
  const values: unknown[] = [];
  const stream = new PullStream(queue, { connection });
  for await (const value of stream) {
    if ((value as typeof END).end === END.end) break;
    values.push(value);
  }
  await closed(stream);
  return values;
}

/** Reads as fast as it can until a stream holds `count` items ahead: it does so for none but a fast reader. Gives what was read. */
export async function readAhead(stream: PullStream, count: number): Promise<unknown[]> {
  const values: unknown[] = [];
  while (stream.readableLength < count) {
    const value = stream.read();
    if (value === null) await once(stream, 'readable');
    else values.push(value);
  }
  return values;
}

/** Resolves when a stream is closed, whatever error it ended with. */
export async function closed(stream: {
  closed: boolean;
  on(event: string, listener: () => void): unknown;
}): Promise<void> {
  if (stream.closed) return;
  stream.on('error', () => {});
  await new Promise<void>((resolve) => stream.on('close', resolve));
}

/** Resolves when a condition holds, looked at after every turn of the event loop; rejects when it never does. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 20_000;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`never true: ${condition}`);
    await nextTurn();
  }
}

export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Keeps the process busy for at least so many milliseconds. */
export function busy(milliseconds: number): void {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}
