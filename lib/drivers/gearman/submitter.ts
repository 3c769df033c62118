import { MillraceError } from '../../errors.ts';
import { Backoff } from './backoff.ts';
import type { Link } from './link.ts';
import type { Links } from './links.ts';
import { argumentsIn, type Packet, packet, Type } from './packets.ts';

/** A job on its way to a server. */
export interface Job {
  /** The packet that submits it. */
  readonly bytes: Buffer;
  /** Called when a server has it. */
  created(handle: string): void;
  /** Called when a server refuses it for good. */
  refused(error: MillraceError): void;
  /** Called when the link broke before it was heard whether it is created, or when its queue is full. Answers whether to submit it again. */
  again(why: 'broken' | 'full'): boolean;
}

/** What else is said of the link that jobs go out on. */
export interface SubmitterEvents {
  /** Called with a new link, before any job goes out on it. */
  opened?(link: Link): void;
  /** Called with each packet that is no answer to a submission. */
  received?(packet: Packet): void;
  /** Called when a link breaks, behind all that {@link Job.again} says. */
  lost?(): void;
}

/** What a server is asked first, to see that it answers. */
const HELLO = packet(Type.ECHO_REQ, 'hello');

/** How long to wait when a server's queue is full, in milliseconds: it can't tell when there is room. */
const FULL = 50;

/**
 * Submits jobs over one link at a time: to the first server that answers, in the order of the URL. What waits goes out when there is one.
 * It is open while somebody {@link retain retains} it.
 */
export class Submitter {
  readonly #links: Links;
  readonly #events: SubmitterEvents;
  readonly #backoff = new Backoff();
  #link: Link | undefined;
  #isGreeted = false;
  /** Which server is tried next. */
  #next = 0;
  #waiting = new Set<Job>();
  /** Those a server has not answered to, in the order in which they were sent: its answers bear no name. */
  #sent = new Set<Job>();
  readonly #waiters = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;
  #users = 0;

  constructor(links: Links, events: SubmitterEvents = {}) {
    this.#links = links;
    this.#events = events;
  }

  /** The link, if it is open. */
  get link(): Link | undefined {
    return this.#link?.isOpen ? this.#link : undefined;
  }

  retain(): void {
    this.#users += 1;
    if (!this.#link) this.#dial();
  }

  release(): void {
    this.#users -= 1;
    if (this.#users > 0) return;
    this.#backoff.stop();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#link?.end();
  }

  submit(job: Job): void {
    if (this.link && this.#waiting.size === 0) this.#send(this.link, job);
    else this.#waiting.add(job);
  }

  /** Takes back what has not been sent. */
  withdraw(job: Job): boolean {
    return this.#waiting.delete(job);
  }

  /** Resolves when a server answers, or `signal` is aborted. */
  async whenOpen(signal: AbortSignal): Promise<void> {
    this.retain();
    if (!this.#isGreeted && !signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#waiters.add(resolve);
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
    }
    this.release();
  }

  /** Tells all who wait that it will submit nothing any more. */
  close(): void {
    this.#backoff.stop();
    clearTimeout(this.#timer);
    const error = new MillraceError('CLOSED', 'The connection was closed before Gearman had answered');
    for (const job of [...this.#sent, ...this.#waiting]) job.refused(error);
    this.#sent.clear();
    this.#waiting.clear();
  }

  #dial(): void {
    const server = this.#links.servers[this.#next];
    if (!server || this.#links.isClosed) return;
    const link = this.#links.open(server, {
      opened: () => this.#opened(link),
      received: (packet) => this.#received(link, packet),
      closed: () => this.#closed(link),
    });
    this.#link = link;
    this.#next = (this.#next + 1) % this.#links.servers.length;
  }

  #opened(link: Link): void {
    link.send(HELLO);
    this.#events.opened?.(link);
    this.#sendAll();
    if (this.#users === 0) link.end();
  }

  /** The server has answered, in the language that is asked for. */
  #greeted(): void {
    this.#backoff.reset();
    this.#next = 0;
    this.#isGreeted = true;
    for (const resolve of this.#waiters) resolve();
    this.#waiters.clear();
  }

  #closed(link: Link): void {
    if (this.#link !== link) return;
    this.#link = undefined;
    this.#isGreeted = false;
    const again = [...this.#sent].filter((job) => job.again('broken'));
    this.#sent.clear();
    this.#waiting = new Set([...again, ...this.#waiting]);
    this.#events.lost?.();
    if (this.#users === 0) return;
    // All of them are asked in a row, then there is a pause.
    if (this.#next === 0) this.#backoff.retry(() => this.#redial());
    else this.#dial();
  }

  #redial(): void {
    if (this.#users > 0 && !this.#link) this.#dial();
  }

  #sendAll(): void {
    const link = this.link;
    if (!link || this.#timer) return;
    for (const job of this.#waiting) this.#send(link, job);
    this.#waiting.clear();
  }

  #send(link: Link, job: Job): void {
    this.#sent.add(job);
    link.send(job.bytes);
  }

  #received(link: Link, packet: Packet): void {
    const { type, body } = packet;
    if (type === Type.JOB_CREATED) {
      const job = this.#takeSent();
      if (job) job.created(body.toString());
      else link.destroy();
    } else if (type === Type.ECHO_RES) this.#greeted();
    else if (type === Type.ERROR) this.#refused(body);
    else this.#events.received?.(packet);
  }

  #refused(body: Buffer): void {
    const { head, rest } = argumentsIn(body, 1);
    const [code] = head;
    // The answer to an option, which is of no consequence.
    if (code === 'UNKNOWN_OPTION') return;
    const job = this.#takeSent();
    if (!job) return;
    if (code === 'QUEUE_ERROR') this.#wait(job);
    else job.refused(new MillraceError('REFUSED', `Gearman refused a job: ${code} ${rest}`));
  }

  #takeSent(): Job | undefined {
    const [job] = this.#sent;
    if (job) this.#sent.delete(job);
    return job;
  }

  /** Has a job that did not fit into its queue submitted again after a while, and all behind it after it. */
  #wait(job: Job): void {
    if (!job.again('full')) return;
    this.#waiting.add(job);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#sendAll();
    }, FULL);
  }
}
