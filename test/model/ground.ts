import type { Consumer, DriverConnection } from '../../lib/driver.ts';

/** Who takes part in a history. */
export const NAMES = ['a', 'b', 'c'] as const;

/** Who of them has a connection of its own; whoever pushes has another, and so has the one who only looks on. */
export type Place = (typeof NAMES)[number] | 'pusher' | 'watch';

/** A driver with all that a history needs beside it: its time, its accidents, and a way to see that something has come to pass. */
export interface Ground {
  readonly name: string;
  /** A connection from a place, ready. */
  connect(place: Place): Promise<DriverConnection>;
  /** The process of a consumer dies: it says nothing any more. */
  crash(connection: DriverConnection, consumer: Consumer): Promise<void>;
  /** A consumer falls silent until {@link wake}. */
  stall(consumer: Consumer): void;
  /** Who fell silent is itself again. `make` makes a consumer like it, where there is no other way. */
  wake(consumer: Consumer, make: () => Consumer): Consumer;
  /** Time goes by in queues, of which these consumers give a sign of life. */
  step(queues: readonly string[], alive: readonly string[]): Promise<void>;
  /** The next answer at a place is lost, with its connection. Resolves when that has happened. */
  loseAnswer(place: Place): Promise<void>;
  /** Resolves when one call waits for an item at the broker, or `signal` is aborted. */
  waits(signal?: AbortSignal): Promise<void>;
  /** What is left of a queue that should not be. Where there was trouble, a process or an answer lost, there may be more for a while. */
  leftovers(queue: string, hadTrouble: boolean): Promise<string[]>;
  /** Forgets all queues. */
  clear(): Promise<void>;
  close(): Promise<void>;
}
