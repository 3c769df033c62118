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
}

/** A reply as it is published, in JSON. */
export type ReplyPacket =
  | { readonly id: string; readonly success: true; readonly data?: unknown }
  | { readonly id: string; readonly success: false; readonly error: RemoteError };

/** The request that a value is; nothing where it is none. */
export function requestIn(value: unknown): RequestPacket | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { id, method, channel, deadline, headers } = value as Partial<Record<keyof RequestPacket, unknown>>;
  const isRequest = typeof id === 'string' && typeof method === 'string' && typeof channel === 'string';
  if (!isRequest || !(deadline === undefined || typeof deadline === 'number')) return undefined;
  if (!(headers === undefined || (typeof headers === 'object' && headers !== null))) return undefined;
  return value as RequestPacket;
}

/** A reply in JSON: what a handler has returned. Throws where JSON can't say it. */
export function replyText(id: string, data: unknown): string {
  return JSON.stringify({ id, success: true, data } satisfies ReplyPacket);
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

/** The replies in a message: one, or an array of them. What is none of these is left out; `count` is how many things there were. */
export function repliesIn(message: string): { replies: ReplyPacket[]; count: number } {
  let said: unknown;
  try {
    said = JSON.parse(message);
  } catch {
    return { replies: [], count: 1 };
  }
  const all = Array.isArray(said) ? said : [said];
  return { replies: all.filter(isReply), count: all.length };
}

function isReply(value: unknown): value is ReplyPacket {
  if (typeof value !== 'object' || value === null) return false;
  const { id, success, error } = value as { id?: unknown; success?: unknown; error?: unknown };
  if (typeof id !== 'string' || typeof success !== 'boolean') return false;
  return success || (typeof error === 'object' && error !== null);
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
