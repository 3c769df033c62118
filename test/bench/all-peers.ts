import { beeQueue } from './bee-queue.ts';
import { bullMq } from './bullmq.ts';
import type { Case } from './case.ts';
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
};

const peers = Object.values(allPeers);

/** Whose case it is; nothing where it is one of our own, or raw. */
export function peerOf(name: string): Peer | undefined {
  return peers.find(({ push, drain, line }) => [push.name, drain.name, line.name].includes(name));
}

/** Whether a case can be run: ours always, a peer's where it is installed. */
export function canRun(name: string): boolean {
  const [owner] = Object.entries(allPeers).find(([, peer]) => peer === peerOf(name)) ?? [];
  return owner === undefined || isInstalled(owner);
}

/** How peers fill a queue. */
export const peerPushes: Record<string, Case> = casesOf(peers.map(({ push }) => push));

/** How those work through one that lose nothing when they die. */
export const peerDeliveries: Record<string, Case> = casesOf(
  [bullMq, beeQueue, rsmq, nodeResque].map(({ drain }) => drain),
);

/** How one works through one that does, and what all are compared with. */
export const peerPulls: Record<string, Case> = casesOf([bullMq, pushpull].map(({ drain }) => drain));

function casesOf(named: readonly Peer['drain'][]): Record<string, Case> {
  return Object.fromEntries(named.map(({ name, run }) => [name, run]));
}
