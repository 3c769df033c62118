import type { Bar } from './chart.ts';

/** A table as it is printed, and how many rounds it is made of. */
export interface Section {
  readonly text: string;
  readonly rounds: number;
  /** How many times as fast as BullMQ each case is; absent where that is not measured. */
  readonly bars?: readonly Bar[] | undefined;
}
