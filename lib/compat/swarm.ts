import { withDefaults } from '../options.ts';
import { placeChecks, text } from './place.ts';
import { Consumer } from './swarm-consumer.ts';
import { Producer } from './swarm-producer.ts';
import type { SwarmOptions } from './swarm-requests.ts';

export type { Consumer, Producer, SwarmOptions };

const checks = { ...placeChecks, namespace: text };

let config: SwarmOptions = { namespace: 'swarm' };

/**
 * Sets options for the producers and consumers that are created from now on; those that are not named stay as they are.
 *
 * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE where they are wrong
 */
export function configure(options: SwarmOptions): void {
  config = withDefaults<SwarmOptions, SwarmOptions>(options, checks, config);
}

/** Creates a producer, which can queue requests on any number of channels. */
export function createProducer(): Producer {
  return new Producer(config);
}

/**
 * Creates a consumer, which emits the requests of a channel.
 *
 * @param channel of the letters of a queue's name
 */
export function createConsumer(channel: string): Consumer {
  return new Consumer(config, channel);
}
