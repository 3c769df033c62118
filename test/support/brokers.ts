import { randomUUID } from 'node:crypto';
import { RedisServer } from './redis.ts';

/** A broker for tests: where it is, and how to be rid of it. */
export interface Broker extends AsyncDisposable {
  readonly url: string;
}

/** Every broker that a stream is tested with. */
export const brokers: Record<string, () => Promise<Broker>> = {
  memory: async () => ({ url: `memory:${randomUUID()}`, async [Symbol.asyncDispose]() {} }),
  redis: () => RedisServer.start(),
};

/** A name that no other test has. */
export function uniqueQueue(): string {
  return `test:${randomUUID()}`;
}

/** Describes the same behaviour once for each broker, which is started before and stopped behind it; for those of every stream by default. */
export function describeEach(title: string, describeOne: (broker: () => Broker) => void, which = brokers): void {
  for (const [name, start] of Object.entries(which)) {
    describe(`${title} (${name})`, () => {
      let broker: Broker;
      before(async () => {
        broker = await start();
      });
      after(() => broker[Symbol.asyncDispose]());
      describeOne(() => broker);
    });
  }
}
