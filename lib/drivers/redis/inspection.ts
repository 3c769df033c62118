import type { Redis } from 'ioredis';
import type { ConsumerInfo, DeadLetterRecord, QueueInfo } from '../../driver.ts';
import type { RedisClients } from './clients.ts';
import { QueueKeys } from './keys.ts';
import { clock } from './scripts/index.ts';

/** How many keys Redis looks at for one answer of a scan. */
const SCANNED = 1000;

/** Asks what is in queues, and in their dead letters. */
export class Inspection {
  readonly #clients: RedisClients;
  readonly #prefix: string;
  readonly #signal: AbortSignal;

  /** @param signal aborted when the connection is closed */
  constructor(clients: RedisClients, prefix: string, signal: AbortSignal) {
    this.#clients = clients;
    this.#prefix = prefix;
    this.#signal = signal;
  }

  async inspect(queue: string): Promise<QueueInfo> {
    const { again, delayed, dead, consumers, marks, base, ...keys } = this.#keysOf(queue);
    const answer = await this.#run((client) =>
      client.millraceInspect(keys.queue, again, delayed, dead, consumers, marks, clock.offset, base),
    );
    const [waiting, due, letters, pushed, settled, lag] = answer.slice(0, 6).map(Number) as Numbers;
    const who = consumersIn(answer.slice(6));
    const inProcess = who.reduce((sum, { held }) => sum + held, 0);
    return { waiting, delayed: due, inProcess, dead: letters, pushed, settled, lag, consumers: who };
  }

  async *queues(): AsyncIterable<string> {
    const found = new Set<string>();
    let cursor = '0';
    do {
      const pattern = `{${this.#prefix}*}:*`;
      const [next, keys] = await this.#run((client) => client.scan(cursor, 'MATCH', pattern, 'COUNT', SCANNED));
      cursor = next;
      for (const key of keys) {
        const [, full = '', kind] = /^\{(.*)\}:(again|delayed|dead|consumers|marks)$/.exec(key) ?? [];
        const queue = full.slice(this.#prefix.length);
        if (!kind || found.has(queue)) continue;
        // Totals stay for a while behind what is in use no more.
        if (kind === 'marks' && (await this.#run((client) => client.exists(full))) === 0) continue;
        found.add(queue);
        yield queue;
      }
    } while (cursor !== '0');
  }

  async deadLetters(queue: string, after: string | undefined, max: number): Promise<readonly DeadLetterRecord[]> {
    const { dead } = this.#keysOf(queue);
    const start = after === undefined ? '-' : `(${after}`;
    const found = await this.#run((client) => client.xrangeBuffer(dead, start, '+', 'COUNT', max));
    return found.map(([id, fields]) => letterOf(String(id), fields));
  }

  putBack(queue: string, id: string): Promise<boolean> {
    return this.#unbury(queue, id, 1);
  }

  drop(queue: string, id: string): Promise<boolean> {
    return this.#unbury(queue, id, 0);
  }

  async #unbury(queue: string, id: string, back: 0 | 1): Promise<boolean> {
    const keys = this.#keysOf(queue);
    return (await this.#run((client) => client.millraceUnbury(keys.queue, keys.dead, keys.marks, id, back))) === 1;
  }

  #keysOf(queue: string): QueueKeys {
    return new QueueKeys(this.#prefix + queue);
  }

  #run<Answer>(ask: (client: Redis) => Promise<Answer>): Promise<Answer> {
    return this.#clients.use(ask, this.#signal);
  }
}

type Numbers = [number, number, number, number, number, number];

function consumersIn(answer: readonly (string | number)[]): ConsumerInfo[] {
  const consumers: ConsumerInfo[] = [];
  for (let i = 0; i < answer.length; i += 4) {
    const [name, held, leaseEnds, oldest] = answer.slice(i, i + 4);
    consumers.push({ name: String(name), held: Number(held), leaseEnds: Number(leaseEnds), oldest: Number(oldest) });
  }
  return consumers;
}

/** An entry of a stream: its id is the time in milliseconds, and a number. */
function letterOf(id: string, fields: readonly Buffer[]): DeadLetterRecord {
  const values: Record<string, Buffer> = {};
  for (let i = 0; i < fields.length; i += 2) values[String(fields[i])] = fields[i + 1] as Buffer;
  const { item = Buffer.alloc(0), reason = '', attempts = 0 } = values;
  return { id, bytes: item, reason: String(reason), time: Number.parseInt(id, 10), attempts: Number(attempts) };
}
