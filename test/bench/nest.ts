import type { Job } from './case.ts';
import { type Exchange, echo, METHOD } from './exchange.ts';
import { placeOf } from './peer.ts';
import { requirePeer } from './peers.ts';

/** What of NestJS is used. */
interface Nest {
  readonly ServerRedis: new (
    options: object,
  ) => {
    addHandler(pattern: string, handler: (data: Job) => Promise<{ id: number }>): void;
    listen(done: (error?: unknown) => void): unknown;
  };
  readonly ClientRedis: new (
    options: object,
  ) => { connect(): Promise<unknown>; send(pattern: string, data: Job): unknown };
}

interface Rxjs {
  firstValueFrom(source: unknown): Promise<{ id: number }>;
}

export const nest: Exchange = {
  broker: 'redis',
  serve(url) {
    prepareNest();
    const server = new (requirePeer<Nest>('@nestjs/microservices').ServerRedis)(placeOf(url));
    server.addHandler(METHOD, echo);
    return new Promise<void>((resolve, reject) => {
      server.listen((error) => (error ? reject(error) : resolve()));
    });
  },
  async connect(url) {
    prepareNest();
    const { firstValueFrom } = requirePeer<Rxjs>('rxjs');
    const client = new (requirePeer<Nest>('@nestjs/microservices').ClientRedis)(placeOf(url));
    await client.connect();
    return { ask: (job) => firstValueFrom(client.send(METHOD, job)) };
  },
};

/** Its log goes to where our figures go. */
function prepareNest(): void {
  requirePeer('reflect-metadata');
  requirePeer<{ Logger: { overrideLogger(yes: boolean): void } }>('@nestjs/common').Logger.overrideLogger(false);
}
