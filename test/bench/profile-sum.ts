import type { Profiler, Runtime } from 'node:inspector';

/** Whose the time is. */
export const OWNERS = [
  'millrace',
  'JSON',
  'ioredis',
  'streams, events',
  'sockets',
  'Node, else',
  'garbage',
  'jobs',
] as const;

export type Owner = (typeof OWNERS)[number];

/** One function of millrace's, and its part of the time. */
export interface Part {
  readonly name: string;
  readonly percent: number;
}

/** Where the time went in which a process was not idle. */
export interface Shares {
  /** In percent, by owner as in {@link OWNERS}. */
  readonly percents: readonly number[];
  /** The functions of millrace's that took most. */
  readonly top: readonly Part[];
}

/** How many functions are named. */
const TOP = 15;

/** The names of the functions that stand for JSON's, which the profiler knows of only as part of who calls them. */
export const JSON_NAMES: readonly string[] = ['parseJson', 'stringifyJson'];

/** What is told by a function's place; the first that fits counts. */
const places: readonly (readonly [RegExp, Owner])[] = [
  [/\/node_modules\/readable-stream\//, 'streams, events'],
  [/\/node_modules\/(@?ioredis|redis-|standard-as-callback|denque|cluster-key-slot)/, 'ioredis'],
  [/\/node_modules\//, 'Node, else'],
  [/\/dist\//, 'millrace'],
  [/^node:(internal\/)?(streams?\b|events|webstreams)/, 'streams, events'],
  [/^node:(net|internal\/(stream_base_commons|net|tls))/, 'sockets'],
  [/^node:/, 'Node, else'],
  [/\/test\/bench\//, 'jobs'],
];

/** Sums up the time of a profile, by self time. What is built in, and has no place, is with who called it. */
export function sharesOf(profile: Profiler.Profile): Shares {
  const { samples = [], timeDeltas = [] } = profile;
  const calls = new Calls(profile.nodes);
  const times = new Map<string, number>();
  const functions = new Map<string, number>();
  let total = 0;
  for (const [index, id] of samples.entries()) {
    const owner = calls.ownerOf(id);
    if (!owner) continue;
    // The time until the next sample was spent where this one was taken.
    const time = timeDeltas[index + 1] ?? 0;
    total += time;
    add(times, owner, time);
    if (owner === 'millrace') add(functions, calls.nameOf(id), time);
  }
  const percent = (time = 0): number => (100 * time) / Math.max(1, total);
  const parts = Array.from(functions, ([name, time]) => ({ name, percent: percent(time) }));
  parts.sort((one, other) => other.percent - one.percent);
  return { percents: OWNERS.map((owner) => percent(times.get(owner))), top: parts.slice(0, TOP) };
}

function add(sums: Map<string, number>, name: string, time: number): void {
  sums.set(name, (sums.get(name) ?? 0) + time);
}

/** The functions of a profile, and who called them. */
class Calls {
  readonly #nodes: ReadonlyMap<number, Profiler.ProfileNode>;
  readonly #callers: ReadonlyMap<number, number>;

  constructor(nodes: readonly Profiler.ProfileNode[]) {
    this.#nodes = new Map(nodes.map((node) => [node.id, node]));
    this.#callers = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id])));
  }

  /** Whose the time of a function is; nobody's while the process is idle. */
  ownerOf(id: number): Owner | undefined {
    const { functionName, url } = this.#frameOf(id);
    if (functionName === '(idle)') return undefined;
    if (functionName === '(garbage collector)') return 'garbage';
    if (JSON_NAMES.includes(functionName)) return 'JSON';
    if (url !== '') return places.find(([place]) => place.test(url))?.[1] ?? 'Node, else';
    const caller = this.#callers.get(id);
    return caller === undefined ? 'Node, else' : this.ownerOf(caller);
  }

  /** What a function, or who called it where it is built in, is called, and where it is. */
  nameOf(id: number): string {
    const { functionName, url } = this.#frameOf(id);
    const caller = this.#callers.get(id);
    if (url === '' && caller !== undefined) return this.nameOf(caller);
    return `${functionName || '(anonymous)'}, ${url.replace(/^.*\/dist\//, '')}`;
  }

  #frameOf(id: number): Runtime.CallFrame {
    return (this.#nodes.get(id) as Profiler.ProfileNode).callFrame;
  }
}
