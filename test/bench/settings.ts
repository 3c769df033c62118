import { parseArgs } from 'node:util';

/** What a user may write. */
export const USAGE =
  'Usage: npm run bench -- [--growth | --profile | --only TABLE,…] [--quick] [--rounds N] [--count N] [--markdown FILE] [--svg FILE]';

/** What is measured beside others, one table each, in this order. */
export const TABLES = [
  'push',
  'pull',
  'deliveries',
  'end-to-end',
  'hops',
  'latency',
  'delivery-latency',
  'requests',
  'sizes',
  'gearman',
  'memory',
] as const;

export type Table = (typeof TABLES)[number];

/** How much is measured. */
export interface Sizes {
  /** How often each case is run at most. */
  readonly rounds: number;
  /** How many jobs a case moves in a round. */
  readonly count: number;
  /** How many it moves before the first: the compiler is at work for hundreds of thousands. */
  readonly warmUp: number;
  readonly memoryCount: number;
  readonly latencyCount: number;
  /** For how long jobs are sent before the first round of those whose latency counts, in milliseconds. */
  readonly latencyWarmUp: number;
  /** For how long requests are asked, with each number in flight, before any that count, and for how long those that do, in milliseconds. */
  readonly requestsWarmUp: number;
  readonly requestsMeasured: number;
  /** How long all may take together, about: a table whose share is used up has fewer rounds, at least one. */
  readonly seconds: number;
  /** How long those of growth may take together, about, and what the largest size is that is measured. */
  readonly growthSeconds: number;
  readonly growthLargest: number;
}

/** What a command line asks for. */
export interface Settings {
  /** All there is to compare with others, how cost grows, or where the time goes. */
  readonly what: 'all' | 'growth' | 'profile';
  /** Which tables of all are wanted; not all of them are in a quick run. */
  readonly tables: readonly Table[];
  readonly quick: boolean;
  readonly sizes: Sizes;
  /** The file that the tables are written to, too. */
  readonly markdown: string | undefined;
  /** The file that the chart is written to. */
  readonly svg: string | undefined;
}

const usual: Sizes = {
  rounds: 5,
  count: 400_000,
  warmUp: 300_000,
  memoryCount: 1_000_000,
  latencyCount: 300,
  latencyWarmUp: 1600,
  requestsWarmUp: 2000,
  requestsMeasured: 1000,
  seconds: 900,
  growthSeconds: 300,
  growthLargest: 10_000_000,
};

const quick: Sizes = {
  rounds: 2,
  count: 60_000,
  warmUp: 30_000,
  memoryCount: 100_000,
  latencyCount: 100,
  latencyWarmUp: 150,
  requestsWarmUp: 150,
  requestsMeasured: 200,
  seconds: 120,
  growthSeconds: 60,
  growthLargest: 1_000_000,
};

const options = {
  growth: { type: 'boolean' },
  profile: { type: 'boolean' },
  only: { type: 'string' },
  quick: { type: 'boolean' },
  rounds: { type: 'string' },
  count: { type: 'string' },
  markdown: { type: 'string' },
  svg: { type: 'string' },
} as const;

/** Reads the arguments of a command line. Throws where one is unknown or out of range, and says what is allowed. */
export function settingsFrom(args: readonly string[]): Settings {
  try {
    const { values } = parseArgs({ args: [...args], options });
    const sizes = values.quick ? quick : usual;
    return {
      what: whatOf(values),
      tables: tablesOf(values.only),
      quick: values.quick ?? false,
      sizes: {
        ...sizes,
        rounds: positive('--rounds', values.rounds) ?? sizes.rounds,
        count: positive('--count', values.count) ?? sizes.count,
      },
      markdown: fileName('--markdown', values.markdown),
      svg: fileName('--svg', values.svg),
    };
  } catch (error) {
    throw new RangeError(`${(error as Error).message}\n${USAGE}`, { cause: error });
  }
}

interface Runs {
  readonly growth?: boolean;
  readonly profile?: boolean;
  readonly only?: string;
  readonly svg?: string;
}

function whatOf({ growth, profile, only, svg }: Runs): Settings['what'] {
  if ([growth, profile, only].filter((run) => run !== undefined).length > 1) {
    throw new RangeError('--growth, --profile and --only are runs of their own');
  }
  if (profile && svg !== undefined) throw new RangeError('--profile draws nothing');
  if (growth) return 'growth';
  return profile ? 'profile' : 'all';
}

function tablesOf(only: string | undefined): readonly Table[] {
  if (only === undefined) return TABLES;
  const wanted = only.split(',');
  for (const table of wanted) {
    if (!(TABLES as readonly string[]).includes(table)) {
      throw new RangeError(`--only takes some of ${TABLES.join(', ')}, not "${table}"`);
    }
  }
  return TABLES.filter((table) => wanted.includes(table));
}

function positive(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new RangeError(`${name} takes a whole number of 1 or more, not "${text}"`);
  return Number(text);
}

function fileName(name: string, text: string | undefined): string | undefined {
  if (text === '') throw new RangeError(`${name} takes the name of a file`);
  return text;
}
