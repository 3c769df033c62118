import { randomBytes } from 'node:crypto';
import type { Inbox } from '../../driver.ts';
import type { MillraceError } from '../../errors.ts';
import { LONGEST_TIMER } from '../../options.ts';
import { endText, failureText, REPLIES } from '../../packet.ts';
import { failedReplyOf, interruptedReplyOf, partOf, progressOf, replyOf, unaskedReplyOf } from './answers.ts';
import { ForegroundJob, type Question } from './foreground-job.ts';
import type { Links } from './links.ts';
import { argumentsIn, type Packet, packet, Type } from './packets.ts';
import { Submitter } from './submitter.ts';

/** Who hears what becomes of requests. */
interface Listener {
  onReplies(message: string): void;
  onLost(ids: readonly string[]): void;
}

/**
 * The requests of one connection: foreground jobs, from when they are asked until they are answered. When the link breaks those that had
 * been sent are lost: a server drops what nobody waits for. For the same reason the link is closed when nobody wants any of them answered.
 */
export class Requests {
  readonly submitter: Submitter;
  /** Those that are not answered, by their ids; and of these those that a server has, by their handles. */
  readonly #asked = new Map<string, ForegroundJob>();
  readonly #running = new Map<string, ForegroundJob>();
  #unwanted = 0;
  #listener: Listener | undefined;
  /** What is told in this turn: in a tick of its own, so that what a listener throws meets nobody else. */
  #replies: string[] = [];
  #lost: string[] = [];
  #isTelling = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(links: Links) {
    this.submitter = new Submitter(links, {
      opened: (link) => {
        link.send(packet(Type.OPTION_REQ, 'exceptions'));
        this.#expire();
      },
      received: (one) => this.#received(one),
      lost: () => {
        for (const job of this.#running.values()) this.#lose(job);
      },
    });
  }

  open(listener: Listener): Inbox {
    this.#listener = listener;
    return {
      channel: REPLIES + randomBytes(16).toString('base64url'),
      watch: () => () => {},
      close: () => {
        if (this.#listener === listener) this.#listener = undefined;
      },
    };
  }

  /** Submits a request. Resolves when a server has it, or it never will: then its listener is told. */
  ask(question: Question): Promise<void> {
    const { id, functionName, parameters, deadline } = question;
    return new Promise((sent) => {
      const job = new ForegroundJob(question, packet(Type.SUBMIT_JOB, functionName, '', parameters), {
        created: (handle) => {
          this.#running.set(handle, job);
          sent();
        },
        over: () => {
          this.#end(job);
          sent();
        },
        lost: () => this.#lose(job),
        refused: (error) => this.fail(job.id, error),
      });
      this.#asked.set(id, job);
      this.submitter.submit(job);
      this.#watch(deadline);
    });
  }

  /** Answers a request that can't be asked. */
  fail(id: string, { name, message, code }: MillraceError): void {
    this.#reply(failureText(id, { name, message, code }));
  }

  /** Says that nobody wants a request answered. */
  cancel(id: string): void {
    const job = this.#asked.get(id);
    if (job) this.#unwant(job);
    this.#dropUnwanted();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.submitter.close();
  }

  #received({ type, body }: Packet): void {
    const { head, rest } = argumentsIn(body, 1);
    const job = this.#running.get(head[0] as string);
    // What is said of one that is not awaited any more.
    if (!job) return;
    if (type === Type.WORK_WARNING) job.warning = rest.toString();
    else if (type === Type.WORK_STATUS) this.#tell(job, progressOf(job.id, rest));
    else if (type === Type.WORK_DATA) this.#take(job, rest);
    else if (type === Type.WORK_COMPLETE) this.#complete(job, rest);
    else if (type === Type.WORK_FAIL) this.#answer(job, failedReplyOf(job.id, job.warning));
    else if (type === Type.WORK_EXCEPTION) this.#answer(job, failedReplyOf(job.id, rest.toString()));
  }

  #tell(job: ForegroundJob, progress: string | undefined): void {
    if (job.isWanted && progress !== undefined) this.#reply(progress);
  }

  /** Takes a part of a reply, or the empty one before the first. Where none is asked for it is but known that there was one. */
  #take(job: ForegroundJob, data: Buffer): void {
    if (data.length === 0) {
      if (job.takesParts && job.parts > 0) this.#answer(job, interruptedReplyOf(job.id));
      return;
    }
    const part = partOf(job.id, job.parts, data);
    job.parts += 1;
    if (!job.takesParts || !job.isWanted) return;
    // From now on whoever reads sees to the time.
    job.deadline = Number.POSITIVE_INFINITY;
    if (part !== undefined) this.#reply(part);
    else this.#answer(job, replyOf(job.id, data));
  }

  #complete(job: ForegroundJob, data: Buffer): void {
    const isEmpty = data.length === 0;
    if (!isEmpty && job.parts > 0 && job.takesParts) this.#take(job, data);
    if (job.takesParts && (isEmpty || job.parts > 0)) this.#answer(job, endText(job.id, job.parts));
    else if (isEmpty && job.parts > 0) this.#answer(job, unaskedReplyOf(job.id));
    else this.#answer(job, replyOf(job.id, data));
  }

  #answer(job: ForegroundJob, reply: string): void {
    if (!this.#asked.has(job.id)) return;
    if (job.isWanted) this.#reply(reply);
    this.#end(job);
    this.#dropUnwanted();
  }

  #lose(job: ForegroundJob): void {
    if (job.isWanted) this.#lost.push(job.id);
    this.#end(job);
    this.#tellSoon();
  }

  #end(job: ForegroundJob): void {
    if (!this.#asked.delete(job.id)) return;
    if (job.handle !== undefined) this.#running.delete(job.handle);
    if (!job.isWanted) this.#unwanted -= 1;
  }

  #unwant(job: ForegroundJob): void {
    if (!job.isWanted) return;
    job.isWanted = false;
    this.#unwanted += 1;
    if (this.submitter.withdraw(job)) job.giveUp();
  }

  /** Closes the link if all that servers have of us is unwanted: then they do not work on what is still queued. */
  #dropUnwanted(): void {
    if (this.#unwanted > 0 && this.#unwanted === this.#asked.size) this.submitter.link?.destroy();
  }

  /** Sees to it that requests whose time is over are known for unwanted, at the latest when all of them are. */
  #watch(deadline: number): void {
    this.#timer ??= setTimeout(
      () => {
        this.#timer = undefined;
        this.#expire();
        this.#dropUnwanted();
        const wanted = [...this.#asked.values()].filter(({ isWanted }) => isWanted);
        if (wanted.length > 0) this.#watch(wanted.reduce((last, job) => Math.max(last, job.deadline), 0));
      },
      Math.min(Math.max(1, deadline - Date.now() + 1), LONGEST_TIMER),
    ).unref();
  }

  #expire(): void {
    const now = Date.now();
    for (const job of this.#asked.values()) if (job.deadline <= now) this.#unwant(job);
  }

  #reply(text: string): void {
    this.#replies.push(text);
    this.#tellSoon();
  }

  #tellSoon(): void {
    if (this.#isTelling) return;
    this.#isTelling = true;
    process.nextTick(() => {
      this.#isTelling = false;
      const [replies, lost] = [this.#replies, this.#lost];
      this.#replies = [];
      this.#lost = [];
      if (replies.length > 0) this.#listener?.onReplies(`[${replies.join()}]`);
      if (lost.length > 0) this.#listener?.onLost(lost);
    });
  }
}
