import type { Reply, RequestName } from './driver.ts';
import type { MillraceError, RemoteError } from './errors.ts';

/** What the name of a channel begins with whose owner understands several replies in one message, and has a mailbox for them. */
export const REPLIES = 'millrace:replies:';

/**
 * A request as it lies in a queue, in JSON: the packet of the older JobQueue, so that a program in any language can ask; `deadline` and
 * `headers` are ours.
 */
export interface RequestPacket {
  /** Unique among the requests that name the same channel. */
  readonly id: string;
  readonly method: string;
  readonly parameters?: unknown;
  /** Where the reply is published. */
  readonly channel: string;
  /** Milliseconds since 1970, by the broker's clock, from which on nobody waits for the reply. */
  readonly deadline?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** How many parts of a reply it takes before it says that it takes more. Without, it is for one reply. */
  readonly parts?: number;
}

/** A reply as it is published, in JSON. One in parts ends with how many there were. */
export type ReplyPacket =
  | { readonly id: string; readonly success: true; readonly data?: unknown; readonly parts?: number }
  | { readonly id: string; readonly success: false; readonly error: RemoteError };

/** One part of a reply. */
export interface PartPacket {
  readonly id: string;
  /** Which run of a handler it comes from: a name that nobody can guess. */
  readonly run: string;
  /** Its number, from 0. */
  readonly part: number;
  readonly data?: unknown;
  /** Where it can be said how much is taken: with the first part. Without, nothing holds the others back. */
  readonly channel?: string;
}

/** How far whoever works on a request says that the work is. */
export interface ProgressPacket {
  readonly id: string;
  readonly done: number;
  readonly total: number;
}

/** What who reads a reply in parts says to who sends it. */
export interface CreditPacket {
  readonly run: string;
  /** How many parts may have been sent, all in all. */
  readonly credit: number;
  /** In the place of the request's: from when on nobody waits, unless more is said. */
  readonly deadline: number;
}

/** The request that a value is; nothing where it is none. */
export function requestIn(value: unknown): RequestPacket | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { id, method, channel, deadline, headers, parts } = value as Partial<Record<keyof RequestPacket, unknown>>;
  const isRequest = typeof id === 'string' && typeof method === 'string' && typeof channel === 'string';
  if (!isRequest || !(deadline === undefined || typeof deadline === 'number')) return undefined;
  if (!(parts === undefined || typeof parts === 'number')) return undefined;
  if (!(headers === undefined || (typeof headers === 'object' && headers !== null))) return undefined;
  return value as RequestPacket;
}

/** A request in JSON, of which some is in JSON already; undefined where it has no such field. */
export function requestText(
  request: {
    readonly id: string;
    readonly method: string;
    readonly deadline: number;
    readonly parts: number | undefined;
  },
  json: { readonly parameters: string | undefined; readonly channel: string; readonly headers: string | undefined },
): string {
  const { id, method, deadline, parts } = request;
  const asked = json.parameters === undefined ? '' : `,"parameters":${json.parameters}`;
  const along = json.headers === undefined ? '' : `,"headers":${json.headers}`;
  const inParts = parts === undefined ? '' : `,"parts":${parts}`;
  return `{"id":"${id}","method":${JSON.stringify(method)}${asked},"channel":${json.channel},"deadline":${deadline}${along}${inParts}}`;
}

/** A reply in JSON: what a handler has returned. Throws where JSON can't say it. */
export function replyText(id: string, data: unknown): string {
  return JSON.stringify({ id, success: true, data } satisfies ReplyPacket);
}

/** A part of a reply in JSON. Throws where JSON can't say it. */
export function partText(part: PartPacket): string {
  return JSON.stringify(part);
}

/** How far the work on a request is, in JSON. */
export function progressText(id: string, done: number, total: number): string {
  return JSON.stringify({ id, done, total } satisfies ProgressPacket);
}

/** The end of a reply in parts, in JSON. */
export function endText(id: string, parts: number): string {
  return JSON.stringify({ id, success: true, parts } satisfies ReplyPacket);
}

/** A reply in JSON: why there is no other. */
export function failureText(id: string, error: RemoteError): string {
  return JSON.stringify({ id, success: false, error } satisfies ReplyPacket);
}

/** What is said of something that was thrown: its stack only if it is asked for. */
export function remoteErrorOf(thrown: unknown, withStack = false): RemoteError {
  if (!(thrown instanceof Error)) return { name: 'Error', message: String(thrown) };
  const { name, message, stack } = thrown;
  const { code } = thrown as { code?: unknown };
  return {
    name: String(name),
    message: String(message),
    ...(typeof code === 'string' || typeof code === 'number' ? { code: String(code) } : {}),
    ...(withStack && typeof stack === 'string' ? { stack } : {}),
  };
}

/** What is published of replies: all to a channel of ours in one message, as an array; to any other each alone. */
export function messagesOf(replies: readonly Reply[]): Reply[] {
  const messages: Reply[] = [];
  const ours = new Map<string, string[]>();
  for (const reply of replies) {
    const some = ours.get(reply.channel);
    if (some) some.push(reply.text);
    else if (reply.channel.startsWith(REPLIES)) ours.set(reply.channel, [reply.text]);
    else messages.push(reply);
  }
  for (const [channel, texts] of ours) messages.push({ channel, text: `[${texts.join()}]` });
  return messages;
}

/** What a message holds: one thing, or an array of them, of any kind. */
export function packetsIn(message: string): readonly unknown[] {
  try {
    const said: unknown = JSON.parse(message);
    return Array.isArray(said) ? said : [said];
  } catch {
    return [undefined];
  }
}

/** Whether it is a reply. The error may be any JSON, as older servers say it. */
export function isReply(packet: unknown): packet is ReplyPacket {
  if (typeof packet !== 'object' || packet === null) return false;
  const { id, success, error } = packet as { id?: unknown; success?: unknown; error?: unknown };
  if (typeof id !== 'string' || typeof success !== 'boolean') return false;
  return success || error !== undefined;
}

export function isPart(packet: unknown): packet is PartPacket {
  if (typeof packet !== 'object' || packet === null) return false;
  const { id, run, part } = packet as Partial<Record<keyof PartPacket, unknown>>;
  return typeof id === 'string' && typeof run === 'string' && typeof part === 'number';
}

export function isProgress(packet: unknown): packet is ProgressPacket {
  if (typeof packet !== 'object' || packet === null) return false;
  const { id, done, total } = packet as Partial<Record<keyof ProgressPacket, unknown>>;
  return typeof id === 'string' && typeof done === 'number' && typeof total === 'number';
}

export function isCredit(packet: unknown): packet is CreditPacket {
  if (typeof packet !== 'object' || packet === null) return false;
  const { run, credit, deadline } = packet as Partial<Record<keyof CreditPacket, unknown>>;
  return typeof run === 'string' && typeof credit === 'number' && typeof deadline === 'number';
}

/** A reply in JSON: the request has become a dead letter. */
export function deadLetterText(id: string, reason: string): string {
  const code = 'ERR_MILLRACE_DEAD_LETTER' satisfies MillraceError['code'];
  return failureText(id, { name: 'MillraceError', message: reason, code });
}

/** How a cancelled request is named among those of its queue. */
export function cancelledName({ channel, id }: RequestName): string {
  return `${channel} ${id}`;
}
