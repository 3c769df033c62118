import { beeQueue } from './bee-queue.ts';
import { type Broker, type Brokers, brokerOfKind } from './brokers.ts';
import { bullMq } from './bullmq.ts';
import type { Case } from './case.ts';
import { jetStream } from './jetstream.ts';
import { nodeResque } from './node-resque.ts';
import type { Peer, Rival } from './peer.ts';
import { isInstalled } from './peers.ts';
import { pushpull } from './pushpull.ts';
import { rabbitMq } from './rabbitmq.ts';
import { rsmq } from './rsmq.ts';
import { zeroMq } from './zeromq.ts';

/** By the name of their package. */
export const allPeers: Record<string, Peer> = {
  bullmq: bullMq,
  'bee-queue': beeQueue,
  rsmq,
  'node-resque': nodeResque,
  pushpull,
  '@nats-io/jetstream': jetStream,
  amqplib: rabbitMq,
};

/** All others, those that store nothing too. */
export const rivals: Record<string, Rival> = { ...allPeers, zeromq: zeroMq };

const peers = Object.values(allPeers);

/** Whose case it is, of those that store jobs. */
export function peerOf(name: string): Peer | undefined {
  return peers.find(({ push, drain, line, flow }) => [push.name, drain.name, line.name, flow?.name].includes(name));
}

/** Whose case it is; nothing where it is one of our own, or raw. */
export function rivalOf(name: string): Rival | undefined {
  return peerOf(name) ?? Object.values(rivals).find(({ flow }) => flow?.name === name);
}

/** The broker of a case; nothing where that is not there. */
export function brokerOf(name: string, brokers: Brokers): Broker | undefined {
  return brokerOfKind(rivalOf(name)?.broker ?? 'redis', brokers);
}

/** Whether a case can be run: ours always, a peer's where it is installed, and its broker is. */
export function canRun(name: string, brokers: Brokers): boolean {
  const rival = rivalOf(name);
  const [owner] = Object.entries(rivals).find(([, one]) => one === rival) ?? [];
  return owner === undefined || (isInstalled(owner) && brokerOf(name, brokers) !== undefined);
}

/** Removes what a peer has stored of this queue by means of its own; what is in Redis is left to who owns that. */
export async function clearFor(name: string, brokers: Brokers, queue: string): Promise<void> {
  await rivalOf(name)?.clear?.(brokerOf(name, brokers)?.url ?? '', queue);
}

/** How peers fill a queue. */
export const peerPushes: Record<string, Case> = casesOf(peers.map(({ push }) => push));

/** How those work through one that lose nothing when they die. */
export const peerDeliveries: Record<string, Case> = casesOf(
  [bullMq, beeQueue, rsmq, nodeResque, jetStream, rabbitMq].map(({ drain }) => drain),
);

/** How one works through one that does, and what all are compared with. */
export const peerPulls: Record<string, Case> = casesOf([bullMq, pushpull].map(({ drain }) => drain));

function casesOf(named: readonly Peer['drain'][]): Record<string, Case> {
  return Object.fromEntries(named.map(({ name, run }) => [name, run]));
}
