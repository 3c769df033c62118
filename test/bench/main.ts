/**
 * Measures pushing, pulling, deliveries and requests beside raw ioredis and others, memory and latency, with a redis-server of its own, and the
 * driver of Gearman beside the bare protocol: `npm run bench`. Prints Markdown. Every case runs in a process of its own, in rounds, and is compared with the raw one of the same round.
 */
import { parseArgs } from 'node:util';
import { RedisServer } from '../support/redis.ts';
import { CONCURRENCY } from './case.ts';
import { GEARMAN_JOBS, measureGearman } from './gearman.ts';
import { measureDeliveryLatency, measureLatency } from './latency.ts';
import { describeMachine } from './machine.ts';
import { measureMemory } from './memory.ts';
import { installPeers } from './peers.ts';
import { measureRequests } from './requests.ts';
import { measureDeliveries, measureHops, measurePulls, measurePushes } from './throughput.ts';

const USAGE = 'Usage: npm run bench -- [--quick] [--rounds N] [--count N]';

interface Sizes {
  /** How often each case is run. */
  readonly rounds: number;
  /** How many jobs one run of a case moves, once it is warm. */
  readonly count: number;
  readonly memoryCount: number;
  readonly latencyCount: number;
}

const usual: Sizes = { rounds: 5, count: 1_000_000, memoryCount: 1_000_000, latencyCount: 2000 };
const quick: Sizes = { rounds: 2, count: 300_000, memoryCount: 200_000, latencyCount: 500 };

function sizesFrom(args: string[]): Sizes {
  const options = { quick: { type: 'boolean' }, rounds: { type: 'string' }, count: { type: 'string' } } as const;
  const { values } = parseArgs({ args, options });
  const sizes = values.quick ? quick : usual;
  return {
    ...sizes,
    rounds: positive('--rounds', values.rounds) ?? sizes.rounds,
    count: positive('--count', values.count) ?? sizes.count,
  };
}

function positive(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new RangeError(`${name} takes a whole number of 1 or more, not "${text}"`);
  return Number(text);
}

async function measure({ rounds, count, memoryCount, latencyCount }: Sizes): Promise<void> {
  const hasPeers = await installPeers();
  await using server = await RedisServer.start();
  const thousands = (number: number): string => number.toLocaleString('en');
  const print = (title: string, text: string): void => console.log(`\n### ${title}\n\n${text}`);
  print('Machine', await describeMachine(server));
  const many = { server, rounds, count, hasPeers };
  const fewer = { ...many, count: Math.ceil(count / 2) };
  const jobs = (number: number): string => `${thousands(number)} jobs of about 120 bytes, ${rounds} rounds`;
  print(`Push: ${jobs(many.count)}`, await measurePushes(many));
  print(`Pull: ${jobs(many.count)}`, await measurePulls(many));
  print(
    `Deliveries: ${jobs(fewer.count)}, ${CONCURRENCY} asynchronous handlers at a time`,
    await measureDeliveries(fewer),
  );
  print(`Hops: ${jobs(fewer.count)}, ${CONCURRENCY} asynchronous handlers at a time`, await measureHops(fewer));
  const singly = `${thousands(latencyCount)} jobs one at a time, ${rounds} rounds`;
  print(`Latency: ${singly}`, await measureLatency(server, rounds, latencyCount));
  print(`Latency of deliveries: ${singly}`, await measureDeliveryLatency(server, rounds, latencyCount));
  print(`Requests: jobs of about 120 bytes, ${rounds} rounds`, await measureRequests(server, rounds, hasPeers));
  print(
    `Gearman: ${thousands(GEARMAN_JOBS)} jobs pushed, then worked off, ${rounds} rounds`,
    await measureGearman(rounds),
  );
  print(`Memory: ${thousands(memoryCount)} jobs, both at once`, await measureMemory(server, memoryCount));
}

let sizes: Sizes;
try {
  sizes = sizesFrom(process.argv.slice(2));
} catch (error) {
  console.error(`${(error as Error).message}\n${USAGE}`);
  process.exit(2);
}
await measure(sizes);
