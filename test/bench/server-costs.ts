/** How many commands are named. */
const MOST = 8;

/** Commands that no case gives, but the bench itself. */
const OWN = ['info', 'config|resetstat', 'flushall', 'client|setname', 'client|id', 'hello', 'ping'];

/** Microseconds for each item: of all commands, and of which. */
export interface ServerCosts {
  readonly all: number;
  readonly dearest: string;
}

/**
 * What a server has spent for each item, by its `INFO commandstats`: microseconds, and of which commands. What a script calls is named,
 * and is part of its `evalsha`, too.
 */
export function serverCostsOf(commandStats: string, items: number): ServerCosts {
  const found = commandStats.matchAll(/^cmdstat_(\S+?):calls=\d+,usec=(\d+)/gm);
  const costs = Array.from(found, ([, command = '', usec]) => ({ command, each: Number(usec) / items }))
    .filter(({ command }) => !OWN.includes(command))
    .sort((one, other) => other.each - one.each);
  const scripts = costs.find(({ command }) => command === 'evalsha')?.each ?? 0;
  const others = costs.reduce((sum, { each }) => sum + each, 0) - scripts;
  const named = costs.slice(0, MOST).map(({ command, each }) => `${command} ${each.toFixed(2)}`);
  // What is called outside of scripts is little beside them.
  return { all: Math.max(scripts, others), dearest: named.join(', ') };
}
