import type { Consumer, ConsumerOptions, DriverConnection, Held, Outcome } from '../../driver.ts';
import type { Server } from '../../servers.ts';
import { settlementOf } from './answers.ts';
import { Backoff } from './backoff.ts';
import { Functions } from './functions.ts';
import type { HeldJob } from './held-job.ts';
import type { Links } from './links.ts';
import { WorkerLink } from './worker-link.ts';

const YES = Promise.resolve(true);
const NO = Promise.resolve(false);

/** Where a link to one server is, or will be. */
interface Post {
  readonly server: Server;
  readonly backoff: Backoff;
  link: WorkerLink | undefined;
}

/** Whether a link can be opened now. */
function isFree({ link, backoff }: Post): boolean {
  return !link && !backoff.isWaiting;
}

/**
 * A worker: it takes jobs from all servers, and holds any number of them on one link to each.
 *
 * - What is retried stays with its link, and comes again from here after its delay.
 * - What is released goes back when its link is closed: at once another link takes its place, and it closes when nothing else that it
 *   has is in anybody's hands.
 */
export class GearmanConsumer implements Consumer {
  readonly connection: DriverConnection;
  readonly #links: Links;
  readonly #functions: Functions;
  readonly #options: Pick<ConsumerOptions, 'onLost'>;
  readonly #posts: Post[];
  /** All that are not closed, those that are retired among them. */
  readonly #open = new Set<WorkerLink>();
  /** What comes again: at its time, and now. */
  readonly #later = new Map<HeldJob, NodeJS.Timeout>();
  readonly #again = new Set<HeldJob>();
  /** Which server is asked first. */
  #turn = 0;
  #isReceiving = false;
  #isCancelled = false;
  #wake: (() => void) | undefined;
  #isClosed = false;
  readonly #whenClosed = new Set<() => void>();

  /** @param queue its name, with the prefix */
  constructor(
    connection: DriverConnection,
    links: Links,
    queue: string,
    options: Pick<ConsumerOptions, 'onLost' | 'methods'>,
  ) {
    this.connection = connection;
    this.#links = links;
    this.#functions = new Functions(queue, options.methods);
    this.#options = options;
    this.#posts = links.servers.map((server) => ({ server, backoff: new Backoff(), link: undefined }));
    this.#manAll();
  }

  async receive(max: number): Promise<readonly Held[]> {
    this.#isReceiving = true;
    this.#isCancelled = false;
    let jobs: HeldJob[] = [];
    while (jobs.length === 0 && !this.#isOver) {
      this.#manAll();
      jobs = this.#takeAgain(max);
      if (jobs.length === 0) jobs = await this.#grab(max);
      if (jobs.length === 0 && !this.#isOver) await this.#awake();
    }
    this.#isReceiving = false;
    return jobs;
  }

  cancel(): void {
    this.#isCancelled = this.#isReceiving;
    this.#wake?.();
  }

  handOver(): void {}

  settle(held: Held, outcome: Outcome): Promise<boolean> {
    const job = held as HeldJob;
    if (!job.link.holds(job)) return NO;
    if (outcome.verb === 'ack' || outcome.verb === 'reject') {
      return job.link.settle(job, settlementOf(job.handle, outcome));
    }
    if (outcome.verb === 'retry') this.#retry(job, outcome.delay);
    else this.#release(job);
    return YES;
  }

  async close(giveUp?: AbortSignal): Promise<void> {
    this.#isClosed = true;
    this.#wake?.();
    for (const { backoff } of this.#posts) backoff.stop();
    for (const timer of this.#later.values()) clearTimeout(timer);
    const destroy = (): void => {
      for (const link of this.#open) link.destroy();
    };
    giveUp?.addEventListener('abort', destroy, { once: true });
    for (const link of this.#open) link.close();
    if (giveUp?.aborted) destroy();
    while (this.#open.size > 0) await new Promise<void>((resolve) => this.#whenClosed.add(resolve));
  }

  get #isOver(): boolean {
    return this.#isCancelled || this.#isClosed;
  }

  /** Opens the links that are not there. */
  #manAll(): void {
    for (const post of this.#posts) if (isFree(post)) this.#man(post);
  }

  #man(post: Post): void {
    if (this.#isClosed || this.#links.isClosed || post.link) return;
    const link = new WorkerLink(this.#links, post.server, this.#functions, {
      awake: () => {
        post.backoff.reset();
        this.#wake?.();
      },
      closed: (lost) => this.#closed(post, link, lost),
    });
    post.link = link;
    this.#open.add(link);
  }

  #closed(post: Post, link: WorkerLink, lost: readonly HeldJob[]): void {
    this.#open.delete(link);
    this.#forget(link);
    if (this.#open.size === 0) for (const resolve of this.#whenClosed) resolve();
    if (post.link === link) {
      post.link = undefined;
      if (!this.#isClosed) post.backoff.retry(() => this.#man(post));
    }
    if (lost.length > 0) this.#options.onLost(lost);
  }

  /** Drops what would come again of a link that is closed: it is the server's. */
  #forget(link: WorkerLink): void {
    for (const [job, timer] of this.#later) {
      if (job.link !== link) continue;
      clearTimeout(timer);
      this.#later.delete(job);
    }
    for (const job of this.#again) if (job.link === link) this.#again.delete(job);
  }

  /** What comes again from here, and is still held. */
  #takeAgain(max: number): HeldJob[] {
    const jobs: HeldJob[] = [];
    for (const job of this.#again) {
      if (jobs.length === max) break;
      this.#again.delete(job);
      if (!job.link.isOpen) continue;
      job.link.handOut(job);
      jobs.push(job);
    }
    return jobs;
  }

  /** Up to `max` jobs of all servers that may have any, each time another one first. */
  async #grab(max: number): Promise<HeldJob[]> {
    const jobs: HeldJob[] = [];
    this.#turn = (this.#turn + 1) % this.#posts.length;
    for (const { link } of [...this.#posts.slice(this.#turn), ...this.#posts.slice(0, this.#turn)]) {
      const wanted = max - jobs.length;
      if (!link?.isAwake || wanted === 0 || this.#isOver) continue;
      const grabbed = await link.grab(wanted);
      jobs.push(...grabbed);
      if (grabbed.length < wanted) link.sleep();
    }
    // While one server was asked another may have gone.
    return jobs.filter((job) => job.link.holds(job));
  }

  /** Resolves when there may be jobs, or there is nothing more to wait for. */
  async #awake(): Promise<void> {
    if (this.#again.size > 0 || this.#posts.some((post) => post.link?.isAwake || isFree(post))) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
  }

  #retry(job: HeldJob, delay: number): void {
    const again = job.again();
    const due = (): void => {
      this.#later.delete(again);
      this.#again.add(again);
      this.#wake?.();
    };
    if (delay > 0) this.#later.set(again, setTimeout(due, delay));
    else due();
    job.link.letGo(job);
  }

  #release(job: HeldJob): void {
    const { link } = job;
    const post = this.#posts.find((one) => one.link === link);
    if (post) post.link = undefined;
    link.letGo(job);
    link.retire();
    // Whoever waits at it is to wait at the next one.
    this.#wake?.();
  }
}
