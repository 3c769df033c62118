import { rivals } from './all-peers.ts';
import { drainByAckStream, drainRaw } from './deliveries.ts';
import type { Flow } from './peer.ts';
import { popRaw, pullByData } from './pulls.ts';
import { pushByWrite, pushRaw, pushRawOnce } from './pushes.ts';

export const RAW = 'raw LPUSH 256 → BLMPOP 256';
export const RAW_DELIVERIES = 'raw: the scripts of push and deliveries, and BLMOVE';
export const PULLED = 'PushStream → PullStream';
export const DELIVERED = 'PushStream → DeliveryStream → AckStream';

/** What moves jobs from one process to another, both at work at the same time. */
export const flows: Record<string, Flow> = {
  [RAW]: { push: pushRaw, drain: popRaw },
  [RAW_DELIVERIES]: { push: pushRawOnce, drain: drainRaw },
  [PULLED]: { push: pushByWrite, drain: pullByData },
  [DELIVERED]: { push: pushByWrite, drain: drainByAckStream },
  ...Object.fromEntries(Object.values(rivals).flatMap(({ flow }) => (flow ? [[flow.name, flow]] : []))),
};
