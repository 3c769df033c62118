import type { RedisServer } from '../support/redis.ts';
import { beeQueue } from './bee-queue.ts';
import { bullMq } from './bullmq.ts';
import type { Case } from './case.ts';
import { jetStream } from './jetstream.ts';
import type { NatsServer } from './nats-server.ts';
import { nodeResque } from './node-resque.ts';
import type { Peer } from './peer.ts';
import { isInstalled } from './peers.ts';
import { pushpull } from './pushpull.ts';
import { rsmq } from './rsmq.ts';

/** By the name of their package. */
export const allPeers: Record<string, Peer> = {
  bullmq: bullMq,
  'bee-queue': beeQueue,
  rsmq,
  'node-resque': nodeResque,
  pushpull,
  '@nats-io/jetstream': jetStream,
};

const peers = Object.values(allPeers);

/** Whose case it is; nothing where it is one of our own, or raw. */
export function peerOf(name: string): Peer | undefined {
  return peers.find(({ push, drain, line }) => [push.name, drain.name, line.name].includes(name));
}

/** What jobs go through. */
export interface Brokers {
  readonly server: RedisServer;
  /** Absent where there is none to be had. */
  readonly nats: NatsServer | undefined;
}

/** The URL of the broker of a case: of NATS where its peer goes through that, and empty where that is not there. */
export function urlFor(name: string, { server, nats }: Brokers): string {
  return peerOf(name)?.broker === 'nats' ? (nats?.url ?? '') : server.url;
}

/** Whether a case can be run: ours always, a peer's where it is installed, and its broker is. */
export function canRun(name: string, brokers: Brokers): boolean {
  const peer = peerOf(name);
  const [owner] = Object.entries(allPeers).find(([, one]) => one === peer) ?? [];
  return owner === undefined || (isInstalled(owner) && urlFor(name, brokers) !== '');
}

/** How peers fill a queue. */
export const peerPushes: Record<string, Case> = casesOf(peers.map(({ push }) => push));

/** How those work through one that lose nothing when they die. */
export const peerDeliveries: Record<string, Case> = casesOf(
  [bullMq, beeQueue, rsmq, nodeResque, jetStream].map(({ drain }) => drain),
);

/** How one works through one that does, and what all are compared with. */
export const peerPulls: Record<string, Case> = casesOf([bullMq, pushpull].map(({ drain }) => drain));

function casesOf(named: readonly Peer['drain'][]): Record<string, Case> {
  return Object.fromEntries(named.map(({ name, run }) => [name, run]));
}
