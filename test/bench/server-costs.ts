/** How many commands are named. */
const MOST = 8;

/** Commands that no case gives, but the bench itself. */
const OWN = ['info', 'config|resetstat', 'flushall', 'client|setname', 'client|id', 'hello', 'ping'];

/** What others are part of: scripts, transactions, and the script in each of these. */
const WHOLES = ['evalsha', 'exec'];
const PARTS_TOO = [...WHOLES, 'eval'];

/** Microseconds for each item: of all commands, and of which. */
export interface ServerCosts {
  readonly all: number;
  readonly dearest: string;
}

/**
 * What a server has spent for each item, by its `INFO commandstats`: microseconds, and of which commands. What a script calls, or a
 * transaction, is named, and is part of its `evalsha`, or `exec`, too.
 */
export function serverCostsOf(commandStats: string, items: number): ServerCosts {
  const found = commandStats.matchAll(/^cmdstat_(\S+?):calls=\d+,usec=(\d+)/gm);
  const costs = Array.from(found, ([, command = '', usec]) => ({ command, each: Number(usec) / items }))
    .filter(({ command }) => !OWN.includes(command))
    .sort((one, other) => other.each - one.each);
  const sumOf = (some: typeof costs): number => some.reduce((sum, { each }) => sum + each, 0);
  const wholes = sumOf(costs.filter(({ command }) => WHOLES.includes(command)));
  const parts = sumOf(costs.filter(({ command }) => !PARTS_TOO.includes(command)));
  const named = costs.slice(0, MOST).map(({ command, each }) => `${command} ${each.toFixed(2)}`);
  // What is called outside of these is little beside them.
  return { all: Math.max(wholes, parts), dearest: named.join(', ') };
}
