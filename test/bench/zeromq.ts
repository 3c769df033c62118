import { check, type Job, job } from './case.ts';
import type { Rival } from './peer.ts';
import { requirePeer } from './peers.ts';

export type Frame = string | Buffer;

/** One end of ZeroMQ: it lets only one send() wait at a time. */
export interface Socket extends AsyncIterable<Buffer[]> {
  bind(address: string): Promise<void>;
  unbind(address: string): Promise<void>;
  connect(address: string): void;
  send(message: Frame | readonly Frame[]): Promise<void>;
  receive(): Promise<Buffer[]>;
  close(): void;
}

type SocketClass = new (options?: object) => Socket;

/** What of ZeroMQ is used. */
interface ZeroMq {
  readonly Push: SocketClass;
  readonly Pull: SocketClass;
  readonly Dealer: SocketClass;
  readonly Router: SocketClass;
}

/** Who connects tries each millisecond: it can come before who listens, and would rest for 100 ms. */
const RECONNECT = 1;

/** A socket of that kind, with what else it is told. */
export function openZeroMq(kind: keyof ZeroMq, options = {}): Socket {
  return new (requirePeer<ZeroMq>('zeromq')[kind])({ reconnectInterval: RECONNECT, ...options });
}

/** It keeps what is sent in memory, a thousand messages at each end, and goes on sending when it is closed. */
async function push(url: string, _queue: string, count: number): Promise<void> {
  const socket = openZeroMq('Push');
  socket.connect(url);
  for (let id = 0; id < count; id += 1) await socket.send(JSON.stringify(job(id)));
  socket.close();
}

async function drain(url: string, _queue: string, count: number): Promise<void> {
  const socket = openZeroMq('Pull');
  await socket.bind(url);
  let sum = 0;
  for (let taken = 0; taken < count; taken += 1) {
    const [message] = await socket.receive();
    sum += (JSON.parse(String(message)) as Job).id;
  }
  await socket.unbind(url);
  socket.close();
  check(sum, count);
}

/** It has no server, and stores nothing. */
export const zeroMq: Rival & Required<Pick<Rival, 'flow'>> = {
  broker: 'direct',
  share: 1 / 2,
  flow: { name: 'ZeroMQ Push → Pull, no server', push, drain },
};
