import type {
  Cancellations,
  CancelledRequest,
  ConnectionStats,
  Consumer,
  ConsumerInfo,
  ConsumerOptions,
  DeadLetterRecord,
  DriverConnection,
  DriverOptions,
  Inbox,
  QueueInfo,
  Receiver,
  ReceiverOptions,
  Reply,
  Sender,
  SenderOptions,
} from '../../driver.ts';
import { invalidValue, MillraceError } from '../../errors.ts';
import { serversIn } from '../../servers.ts';
import { jobOf } from './channels.ts';
import { GearmanConsumer } from './consumer.ts';
import { Links } from './links.ts';
import { GearmanReceiver } from './receiver.ts';
import { RequestSender } from './request-sender.ts';
import { Requests } from './requests.ts';
import { GearmanSender } from './sender.ts';
import { statusOf } from './status.ts';
import { Submitter } from './submitter.ts';

/** The port of a server where none is said. */
export const DEFAULT_PORT = 4730;

/** A connection to the Gearman servers of a URL. */
export function connectGearman(url: string, options: DriverOptions): DriverConnection {
  const servers = serversIn(url, DEFAULT_PORT);
  if (!servers) throw invalidValue('url', 'of the form gearman://host[:port][,host[:port]…]', 'something else');
  return new GearmanConnection(new Links(servers), options.prefix);
}

/** Queues are functions, items background jobs, requests foreground jobs, and consumers workers. */
class GearmanConnection implements DriverConnection {
  readonly #links: Links;
  readonly #prefix: string;
  readonly #submitter: Submitter;
  readonly #requests: Requests;
  readonly #closing = new AbortController();

  constructor(links: Links, prefix: string) {
    this.#links = links;
    this.#prefix = prefix;
    this.#submitter = new Submitter(links);
    this.#requests = new Requests(links);
  }

  async ready(signal?: AbortSignal): Promise<void> {
    const ended = AbortSignal.any(signal ? [signal, this.#closing.signal] : [this.#closing.signal]);
    await this.#submitter.whenOpen(ended);
    if (ended.aborted) throw new MillraceError('CLOSED', 'The stream was closed before Gearman had answered');
  }

  sender(queue: string, { requests }: SenderOptions): Sender {
    if (requests) return new RequestSender(this.#requests, this.#prefix + queue);
    return new GearmanSender(this.#submitter, this.#prefix + queue);
  }

  receiver(queue: string, options: ReceiverOptions): Receiver {
    // What it loses before it has completed it is not lost: it comes again.
    const consumer = new GearmanConsumer(this, this.#links, this.#prefix + queue, { onLost: () => {} });
    return new GearmanReceiver(consumer, () => new GearmanSender(this.#submitter, this.#prefix + queue, true), options);
  }

  consumer(queue: string, options: ConsumerOptions): Consumer {
    return new GearmanConsumer(this, this.#links, this.#prefix + queue, options);
  }

  now(): number {
    return Date.now();
  }

  inbox(onReplies: (message: string) => void, onLost: (ids: readonly string[]) => void = () => {}): Inbox {
    return this.#requests.open({ onReplies, onLost });
  }

  /** Only who holds a job can say anything of it: how far it is, and parts of its reply. */
  async reply(replies: readonly Reply[]): Promise<void> {
    const saying = replies.map(({ channel, text }) => {
      const job = jobOf(channel);
      if (!job) throw notSupported('replies to what is no job');
      return this.#links.workers.get(job.link)?.say(job.handle, text);
    });
    await Promise.all(saying);
  }

  async cancel(_queue: string, { id }: CancelledRequest): Promise<void> {
    this.#requests.cancel(id);
  }

  /** Nobody is ever told. */
  cancellations(): Cancellations {
    return { ready: Promise.resolve(), has: () => false, close: () => {} };
  }

  /** Of the server that requests go to: what waits, what is worked on, and how many workers there are, of whom nothing is known. */
  async inspect(queue: string): Promise<QueueInfo> {
    const name = this.#prefix + queue;
    const server = this.#requests.submitter.link?.server ?? this.#links.servers[0];
    const all = server ? await statusOf(server) : [];
    const own = all.filter((one) => one.name === name || one.name.startsWith(`${name}/`));
    const sum = (count: 'total' | 'running' | 'workers'): number => own.reduce((all, one) => all + one[count], 0);
    const inProcess = sum('running');
    const consumers = Array.from({ length: sum('workers') }, () => UNKNOWN);
    return {
      waiting: sum('total') - inProcess,
      delayed: 0,
      inProcess,
      dead: 0,
      pushed: 0,
      settled: 0,
      lag: 0,
      consumers,
    };
  }

  // biome-ignore lint/correctness/useYield: it has nothing to give
  async *queues(): AsyncIterable<string> {
    throw notSupported('a list of queues');
  }

  async deadLetters(): Promise<readonly DeadLetterRecord[]> {
    throw notSupported('dead letters');
  }

  async putBack(): Promise<boolean> {
    throw notSupported('dead letters');
  }

  async drop(): Promise<boolean> {
    throw notSupported('dead letters');
  }

  stats(): ConnectionStats {
    return { clients: this.#links.size, waiting: 0 };
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#submitter.close();
    this.#requests.close();
    await this.#links.destroy();
  }
}

const UNKNOWN: ConsumerInfo = { name: '', held: 0, leaseEnds: Number.POSITIVE_INFINITY, oldest: 0 };

function notSupported(what: string): MillraceError {
  return new MillraceError('NOT_SUPPORTED', `Gearman does not support ${what}`);
}
