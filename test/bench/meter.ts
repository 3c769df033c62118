import { readFileSync } from 'node:fs';

/** What a run took: seconds, seconds of CPU of the client and of the server, and MB of the client's memory at its peak. */
export interface Figures {
  readonly seconds: number;
  readonly cpu: number;
  /** Absent where there is no server, or the system does not tell. */
  readonly serverCpu?: number | undefined;
  readonly rss: number;
}

/** How often a second Linux counts what a process has used. */
const TICKS = 100;

/** Measures what this process and a server take from now on. */
export class Meter {
  readonly #pid: number | undefined;
  readonly #start = performance.now();
  readonly #cpu = process.cpuUsage();
  readonly #serverCpu: number | undefined;

  /** `pid` is the server's. */
  constructor(pid?: number) {
    this.#pid = pid;
    this.#serverCpu = cpuSecondsOf(pid);
  }

  read(): Figures {
    const seconds = (performance.now() - this.#start) / 1000;
    const { user, system } = process.cpuUsage(this.#cpu);
    const server = cpuSecondsOf(this.#pid);
    return {
      seconds,
      cpu: (user + system) / 1e6,
      serverCpu: server === undefined || this.#serverCpu === undefined ? undefined : server - this.#serverCpu,
      rss: process.resourceUsage().maxRSS / 1024,
    };
  }
}

/** Seconds of CPU that a process has used in all its threads, to a hundredth; nothing where the system does not tell. */
function cpuSecondsOf(pid: number | undefined): number | undefined {
  if (pid === undefined) return undefined;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name before it, in brackets, can have spaces.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS;
  } catch {
    return undefined;
  }
}
