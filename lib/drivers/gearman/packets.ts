/** The types of packets, as the Gearman protocol numbers them (http://gearman.org/protocol/). */
export const Type = {
  CAN_DO: 1,
  PRE_SLEEP: 4,
  NOOP: 6,
  SUBMIT_JOB: 7,
  JOB_CREATED: 8,
  GRAB_JOB: 9,
  NO_JOB: 10,
  JOB_ASSIGN: 11,
  WORK_STATUS: 12,
  WORK_COMPLETE: 13,
  WORK_FAIL: 14,
  ECHO_REQ: 16,
  ECHO_RES: 17,
  SUBMIT_JOB_BG: 18,
  ERROR: 19,
  WORK_EXCEPTION: 25,
  OPTION_REQ: 26,
  OPTION_RES: 27,
  WORK_DATA: 28,
  WORK_WARNING: 29,
  SUBMIT_JOB_HIGH_BG: 32,
} as const;

/** A packet that came. */
export interface Packet {
  readonly type: number;
  readonly body: Buffer;
}

const REQUEST = 0x00524551; // \0REQ
const RESPONSE = 0x00524553; // \0RES
const HEADER = 12;

/** The most bytes that a packet's body may say it has: more is not what a server says, but noise. */
const MOST = 2 ** 30;

/** The bytes of a packet to a server. Only its last argument may contain a NUL. */
export function packet(type: number, ...args: readonly (string | Buffer)[]): Buffer {
  let size = Math.max(0, args.length - 1);
  for (const arg of args) size += Buffer.byteLength(arg);
  const bytes = Buffer.allocUnsafe(HEADER + size);
  bytes.writeUInt32BE(REQUEST, 0);
  bytes.writeUInt32BE(type, 4);
  bytes.writeUInt32BE(size, 8);
  let at = HEADER;
  for (const [index, arg] of args.entries()) {
    if (index > 0) bytes[at++] = 0;
    at += typeof arg === 'string' ? bytes.write(arg, at) : arg.copy(bytes, at);
  }
  return bytes;
}

/** The first `count` arguments of a body, as text, and what is behind them: the last argument, whatever it contains. */
export function argumentsIn(body: Buffer, count: number): { readonly head: string[]; readonly rest: Buffer } {
  const head: string[] = [];
  let at = 0;
  while (head.length < count) {
    const end = body.indexOf(0, at);
    if (end < 0) {
      head.push(body.toString('utf8', at));
      at = body.length;
      break;
    }
    head.push(body.toString('utf8', at, end));
    at = end + 1;
  }
  while (head.length < count) head.push('');
  return { head, rest: body.subarray(at) };
}

/** Makes packets of what a server sends, however it is cut. */
export class PacketReader {
  #chunks: Buffer[] = [];
  #size = 0;
  /** How many bytes there must be before it is worth a look. */
  #needed = HEADER;

  /** The packets that are complete with this chunk. Throws where it is no packet of a server. */
  read(chunk: Buffer): Packet[] {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    if (this.#size < this.#needed) return [];
    const bytes = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks, this.#size);
    const packets: Packet[] = [];
    let at = 0;
    this.#needed = HEADER;
    while (bytes.length - at >= HEADER) {
      const size = sizeOf(bytes, at);
      const end = at + HEADER + size;
      if (end > bytes.length) {
        this.#needed = HEADER + size;
        break;
      }
      packets.push({ type: bytes.readUInt32BE(at + 4), body: bytes.subarray(at + HEADER, end) });
      at = end;
    }
    this.#chunks = at < bytes.length ? [bytes.subarray(at)] : [];
    this.#size = bytes.length - at;
    return packets;
  }
}

function sizeOf(bytes: Buffer, at: number): number {
  if (bytes.readUInt32BE(at) !== RESPONSE) throw new Error('What the server says is no packet of Gearman');
  const size = bytes.readUInt32BE(at + 8);
  if (size > MOST) throw new Error(`The server announces a packet of ${size} bytes`);
  return size;
}
