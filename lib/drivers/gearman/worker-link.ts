import { randomUUID } from 'node:crypto';
import type { Server } from '../../servers.ts';
import { partialAnswer } from './answers.ts';
import { channelOf } from './channels.ts';
import type { Functions } from './functions.ts';
import { HeldJob } from './held-job.ts';
import type { Link } from './link.ts';
import type { Links, Speaker } from './links.ts';
import { argumentsIn, type Packet, packet, Type } from './packets.ts';

const GRAB_JOB = packet(Type.GRAB_JOB);
const PRE_SLEEP = packet(Type.PRE_SLEEP);

/** How many jobs are asked for at once, at most. */
const MOST = 1024;

/** What is said of a worker's link. */
export interface WorkerEvents {
  /** Called when there may be jobs: it is open, or was woken. */
  awake(): void;
  /** Called when it is closed, with what it held in anybody's hands. */
  closed(lost: readonly HeldJob[]): void;
}

/** A grab under way. */
interface Grab {
  readonly max: number;
  readonly jobs: HeldJob[];
  /** How many answers are awaited. */
  left: number;
  /** Whether the server had fewer than were asked for. */
  isDrained: boolean;
  resolve(jobs: HeldJob[]): void;
}

/**
 * A worker's link to one server. It holds any number of jobs; when it is closed the server has others work on all that it still holds:
 * the only way there is to give a job back.
 */
export class WorkerLink implements Speaker {
  readonly server: Server;
  readonly #name = randomUUID();
  readonly #links: Links;
  readonly #link: Link;
  readonly #functions: Functions;
  readonly #events: WorkerEvents;
  /** In somebody's hands. */
  readonly #held = new Map<string, HeldJob>();
  #grab: Grab | undefined;
  /** How many jobs to ask for at once: one at first, and twice as many each time while there are so many. */
  #step = 1;
  /** Whether it waits to be woken; at first, until the server has answered. */
  #isAsleep = true;
  #isRetired = false;
  #isClosing = false;
  /** Answers to what was said in a turn, in order: an echo says that the server has heard it. */
  readonly #echoes: { answer(heard: boolean): void }[] = [];
  #turn: Promise<boolean> | undefined;

  constructor(links: Links, server: Server, functions: Functions, events: WorkerEvents) {
    this.server = server;
    this.#links = links;
    links.workers.set(this.#name, this);
    this.#functions = functions;
    this.#events = events;
    this.#link = links.open(server, {
      opened: () => this.#opened(),
      received: (one) => this.#received(one),
      closed: () => this.#closed(),
    });
  }

  /** Whether it can be asked for jobs. */
  get isAwake(): boolean {
    return this.#link.isOpen && !this.#isAsleep && !this.#isRetired;
  }

  get isOpen(): boolean {
    return this.#link.isOpen;
  }

  holds(job: HeldJob): boolean {
    return this.#held.get(job.handle) === job;
  }

  /** Up to `max` jobs, as many as there are at once; none where it breaks. One call at a time. */
  grab(max: number): Promise<HeldJob[]> {
    return new Promise((resolve) => {
      this.#grab = { max, jobs: [], left: 0, isDrained: false, resolve };
      this.#ask(this.#grab);
    });
  }

  /** Asks to be woken when there are jobs. */
  sleep(): void {
    if (!this.isAwake) return;
    this.#isAsleep = true;
    this.#link.send(PRE_SLEEP);
  }

  /** Says what becomes of a job. Resolves with whether the server has heard it. */
  settle(job: HeldJob, packets: readonly Buffer[]): Promise<boolean> {
    this.#held.delete(job.handle);
    for (const bytes of packets) this.#link.send(bytes);
    return this.#heard();
  }

  async say(handle: string, part: string): Promise<void> {
    if (!this.#held.has(handle)) return;
    for (const bytes of partialAnswer(handle, part)) this.#link.send(bytes);
    await this.#heard();
  }

  /** Takes a job out of anybody's hands; it stays with the link. */
  letGo(job: HeldJob): void {
    this.#held.delete(job.handle);
    this.#checkRetired();
  }

  /** Gives a job of the link into somebody's hands. */
  handOut(job: HeldJob): void {
    this.#held.set(job.handle, job);
  }

  /** Grabs no more, and closes as soon as nothing that it has is in anybody's hands. */
  retire(): void {
    this.#isRetired = true;
    this.#checkRetired();
  }

  /** Closes as soon as the server has heard all that was said. */
  close(): void {
    this.#isClosing = true;
    this.retire();
  }

  destroy(): void {
    this.#link.destroy();
  }

  #opened(): void {
    for (const bytes of this.#functions.registrations) this.#link.send(bytes);
    void this.#heard().then((heard) => heard && this.#woken());
    this.#checkRetired();
  }

  #ask(grab: Grab): void {
    grab.left = Math.min(this.#step, grab.max - grab.jobs.length);
    for (let i = 0; i < grab.left; i += 1) this.#link.send(GRAB_JOB);
  }

  #received({ type, body }: Packet): void {
    if (type === Type.JOB_ASSIGN) this.#assigned(body);
    else if (type === Type.NO_JOB) this.#answered(undefined);
    else if (type === Type.NOOP) this.#woken();
    else if (type === Type.ECHO_RES) this.#echoed(body);
    // That it does not know a job which is held here, above all.
    else if (type === Type.ERROR) this.#link.destroy();
  }

  #assigned(body: Buffer): void {
    const { head, rest } = argumentsIn(body, 2);
    const [handle = '', name = ''] = head;
    const method = this.#functions.methodOf(name);
    const request = { id: handle, method, channel: channelOf(this.#name, handle), parts: Number.MAX_SAFE_INTEGER };
    const job = new HeldJob(this, handle, rest, request);
    this.#held.set(handle, job);
    this.#answered(job);
  }

  /** One answer to a grab has come. */
  #answered(job: HeldJob | undefined): void {
    const grab = this.#grab;
    if (!grab) {
      this.#link.destroy();
      return;
    }
    if (job) grab.jobs.push(job);
    else grab.isDrained = true;
    grab.left -= 1;
    if (grab.left > 0) return;
    this.#step = grab.isDrained ? 1 : Math.min(2 * this.#step, MOST);
    if (!grab.isDrained && grab.jobs.length < grab.max && !this.#isRetired) this.#ask(grab);
    else this.#endGrab(grab.jobs);
  }

  #endGrab(jobs: HeldJob[]): void {
    const grab = this.#grab;
    this.#grab = undefined;
    grab?.resolve(jobs);
    this.#checkRetired();
  }

  #woken(): void {
    this.#isAsleep = false;
    this.#events.awake();
  }

  #heard(): Promise<boolean> {
    if (!this.#link.isOpen) return Promise.resolve(false);
    this.#turn ??= new Promise((resolve) => {
      process.nextTick(() => {
        this.#turn = undefined;
        if (!this.#link.isOpen) {
          resolve(false);
          return;
        }
        this.#echoes.push({ answer: resolve });
        this.#link.send(packet(Type.ECHO_REQ, 'heard'));
      });
    });
    return this.#turn;
  }

  #echoed(body: Buffer): void {
    // An empty one is the link's own, that only asked for a sign of life.
    if (body.length === 0) return;
    this.#echoes.shift()?.answer(true);
    this.#checkRetired();
  }

  #checkRetired(): void {
    if (!this.#isRetired || this.#turn || this.#grab || this.#echoes.length > 0) return;
    if (this.#held.size === 0 || this.#isClosing) this.#link.end();
  }

  #closed(): void {
    this.#links.workers.delete(this.#name);
    const ungiven = new Set(this.#grab?.jobs);
    const lost = [...this.#held.values()].filter((job) => !ungiven.has(job));
    this.#held.clear();
    for (const { answer } of this.#echoes.splice(0)) answer(false);
    this.#events.closed(this.#isClosing ? [] : lost);
    this.#endGrab([]);
  }
}
