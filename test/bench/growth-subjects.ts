/** A column of a table: what a case's figure at this place is. */
export interface Column {
  readonly title: string;
  /** Whether it is thousands a second, of which more is better; else milliseconds. */
  readonly isRate: boolean;
}

/** What is measured at several sizes. */
export interface Subject {
  /** Of the case in `growth-cases.ts`. */
  readonly name: string;
  readonly title: string;
  /** What the sizes are numbers of. */
  readonly unit: string;
  readonly sizes: readonly number[];
  /** At which the compiler is got to work before. */
  readonly warmSize: number;
  readonly columns: readonly Column[];
}

const rate = (title: string): Column => ({ title, isRate: true });
const milliseconds = (title: string): Column => ({ title, isRate: false });

/** Each queue has two streams. */
const queues = {
  unit: 'queues',
  sizes: [1, 10, 100, 1000],
  warmSize: 1,
  columns: [rate('thousand items/s'), milliseconds('first item of all: ms')],
};

export const subjects: readonly Subject[] = [
  { ...queues, name: 'queues', title: 'Many queues in one process: PushStream and PullStream each' },
  {
    ...queues,
    name: 'queues of deliveries',
    title: 'Many queues in one process: PushStream and DeliveryStream → AckStream each',
  },
  {
    name: 'pullers',
    title: 'Many PullStreams on one queue',
    unit: 'PullStreams',
    sizes: [1, 2, 4, 8, 16, 32, 64],
    warmSize: 1,
    columns: [rate('thousand items/s')],
  },
  {
    name: 'length',
    title: 'A long queue',
    unit: 'items in it',
    sizes: [100_000, 1_000_000, 10_000_000],
    warmSize: 100_000,
    columns: [
      rate('push: thousand/s'),
      rate('pull: thousand/s'),
      rate('deliveries: thousand/s'),
      milliseconds('inspect(): ms'),
    ],
  },
  {
    name: 'requests',
    title: 'Many requests in flight',
    unit: 'in flight',
    sizes: [1, 10, 100, 1000, 10_000],
    warmSize: 100,
    columns: [rate('thousand/s'), milliseconds('one takes: ms')],
  },
];
