import { Client, connect, serve } from 'millrace';
import { type Exchange, echo, METHOD } from './exchange.ts';
import { moleculer } from './moleculer.ts';
import { nats } from './nats-core.ts';
import { nest } from './nest.ts';
import { bare, raw } from './raw-exchanges.ts';
import { ZEROMQ, zeroMqExchange } from './zeromq-exchange.ts';

const QUEUE = 'requests';

/** How many requests are worked on at a time. */
const CONCURRENCY = 256;

const millrace: Exchange = {
  broker: 'redis',
  serve: (url) => serve(QUEUE, { [METHOD]: echo }, { connection: url, concurrency: CONCURRENCY }).ready,
  connect(url) {
    const connection = connect(url);
    const client = new Client(QUEUE, { connection });
    return { ask: (job) => client.request(METHOD, job) };
  },
};

export const RAW = 'raw: the same scripts, by hand';
export const BARE = 'bare: LPUSH, BLMPOP and PUBLISH by hand, which promise nothing';
export const OURS = 'Client → serve()';
export const MOLECULER = 'Moleculer';

export const exchanges: Record<string, Exchange> = {
  [RAW]: raw,
  [BARE]: bare,
  [OURS]: millrace,
  [MOLECULER]: moleculer,
  'NestJS over Redis': nest,
  'NATS core': nats,
  [ZEROMQ]: zeroMqExchange,
};

/** Which package each of the others needs. */
export const PEERS: Record<string, string> = {
  [MOLECULER]: 'moleculer',
  'NestJS over Redis': '@nestjs/microservices',
  'NATS core': '@nats-io/transport-node',
  [ZEROMQ]: 'zeromq',
};
