import type { EventEmitter } from 'node:events';
import { PushStream } from '../push-stream.ts';
import type { PlaceOptions } from './place.ts';
import type { RedisPlace } from './redis.ts';
import { report } from './report.ts';

/** The options of `configure()`. */
export interface SwarmOptions extends PlaceOptions {
  /** Distinguishes a swarm from others on the same Redis; default `'swarm'`. Of the letters of a queue's name. */
  namespace?: string;
}

/** A stream to a queue of requests, each of which is announced when it is stored. What befalls it is told by what is sent. */
export function requestsTo(redis: RedisPlace, queue: string, owner: EventEmitter): PushStream {
  const announce = (): void => {
    redis.ask((client) => client.publish(`${queue}:request`, '')).catch((error) => report(owner, error));
  };
  return new PushStream(queue, { connection: redis.connection }).on('error', () => {}).on('pushed', announce);
}
