import { withDefaults } from '../options.ts';
import { type PlaceOptions, placeChecks, text } from './place.ts';
import { Consumer } from './swarm-consumer.ts';
import { Producer } from './swarm-producer.ts';

export type { Consumer, Producer };

/** The options of {@link configure}. */
export interface SwarmOptions extends PlaceOptions {
  /** Distinguishes a swarm from others on the same Redis; default `'swarm'`. Of the letters of a queue's name. */
  namespace?: string;
}

const checks = { ...placeChecks, namespace: text };

let config: SwarmOptions & { namespace: string } = { namespace: 'swarm' };

/**
 * Sets options for the producers and consumers that are created from now on; those that are not named stay as they are.
 *
 * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE where they are wrong
 */
export function configure(options: SwarmOptions): void {
  config = withDefaults<SwarmOptions, SwarmOptions>(options, checks, config) as typeof config;
}

/** Creates a producer, which can queue requests on any number of channels. */
export function createProducer(): Producer {
  return new Producer(config, config.namespace);
}

/**
 * Creates a consumer, which emits the requests of a channel.
 *
 * @param channel of the letters of a queue's name
 */
export function createConsumer(channel: string): Consumer {
  return new Consumer(config, config.namespace, channel);
}
