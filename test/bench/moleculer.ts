import type { Job } from './case.ts';
import { type Exchange, echo } from './exchange.ts';
import { requirePeer } from './peers.ts';

/** What of Moleculer is used. */
interface Moleculer {
  readonly ServiceBroker: new (
    options: object,
  ) => {
    createService(schema: object): unknown;
    start(): Promise<void>;
    waitForServices(name: string): Promise<unknown>;
    call(action: string, parameters: object): Promise<{ id: number }>;
  };
}

/** With its defaults but for what costs time and is of no use here: its log, metrics and tracing are off. */
export const moleculer: Exchange = {
  broker: 'redis',
  async serve(url) {
    const broker = moleculerBroker(url, 'answering');
    const action = (context: { params: Job }): Promise<{ id: number }> => echo(context.params);
    broker.createService({ name: 'math', actions: { echo: action } });
    await broker.start();
  },
  async connect(url) {
    const broker = moleculerBroker(url, 'asking');
    await broker.start();
    await broker.waitForServices('math');
    return { ask: (job) => broker.call('math.echo', job) };
  },
};

function moleculerBroker(transporter: string, nodeID: string) {
  const { ServiceBroker } = requirePeer<Moleculer>('moleculer');
  return new ServiceBroker({ nodeID, transporter, logger: false, metrics: false, tracing: false });
}
