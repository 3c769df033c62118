import type { Redis } from 'ioredis';
import { messagesOf } from '../../packet.ts';
import type { Handed } from './handing.ts';
import type { QueueKeys } from './keys.ts';
import type { Lease } from './lease.ts';
import type { Take, Taken } from './parcel.ts';
import { whenAllSettled } from './promises.ts';
import type { Report, Returned } from './report.ts';
import { clock } from './scripts/index.ts';

/**
 * What a consumer says to the server, in commands that are sent at once, by the client that is given, in the name and the incarnation
 * of its lease. Where a number answers, {@link Lease.stands} knows what it means.
 */
export class ConsumerCommands {
  readonly #keys: QueueKeys;
  readonly #lease: Lease;

  constructor(keys: QueueKeys, lease: Lease) {
    this.#keys = keys;
    this.#lease = lease;
  }

  /** Says up to where items are handed over. */
  handOver(client: Redis, handed: Handed): Promise<number> {
    const { name, incarnation, inProcess } = this.#lease;
    return client.millraceHanded(this.#keys.consumers, inProcess, name, incarnation, ...handed);
  }

  /** Says all that is in a report. */
  tell(client: Redis, report: Report): Promise<unknown>[] {
    const answers: Promise<unknown>[] = [];
    if (report.landed) answers.push(this.#take(client, { number: report.landed.number, max: -1, atOnce: 1 }));
    if (report.handed) answers.push(this.handOver(client, report.handed));
    for (const items of report.returned) answers.push(this.#return(client, items));
    if (report.acknowledged.length > 0) answers.push(this.#acknowledge(client, report));
    return answers;
  }

  /** Takes, and reads what was taken, in one round trip: null if there is nothing, 0 if what comes first waits until nothing is held. */
  async take(client: Redis, take: Take): Promise<Taken | number | null> {
    const list = this.#lease.parcels + take.number;
    const taking = this.#take(client, take);
    const reading = client.lrangeBuffer(list, 0, -1);
    const [mark, bodies] = await whenAllSettled([taking, reading]);
    if (typeof mark !== 'string') return mark;
    // Where the server did not know the script, it came to it behind the list.
    return { mark, bodies: bodies.length > 0 ? bodies : await client.lrangeBuffer(list, 0, -1) };
  }

  #take(client: Redis, { number, max, atOnce }: Take): Promise<string | number | null> {
    const { name, incarnation, inProcess, landing, parcels } = this.#lease;
    const { queue, again, consumers } = this.#keys;
    const args = [clock.offset, name, incarnation, number, max, atOnce];
    return client.millraceTake(queue, again, consumers, inProcess, landing, parcels + number, ...args);
  }

  #acknowledge(client: Redis, { acknowledged, count, replies }: Report): Promise<number> {
    const { name, incarnation, inProcess, parcels } = this.#lease;
    const { consumers, marks, base } = this.#keys;
    const where = [consumers, inProcess, marks, parcels];
    const masks = acknowledged.flatMap(([parcel, mask]) => [parcel.number, mask]);
    if (replies.length === 0) return client.millraceAck(...where, name, incarnation, count, ...masks);
    const messages = messagesOf(replies).flatMap(({ channel, text }) => [channel, text]);
    const how = [name, incarnation, count, base, acknowledged.length, ...masks, ...messages];
    return client.millraceAnswer(...where, ...how);
  }

  /** Sends items of one parcel back, or elsewhere. */
  #return(client: Redis, returned: readonly Returned[]): Promise<number> {
    const { name, incarnation, inProcess, parcels } = this.#lease;
    const { consumers, again, delayed, dead, marks, wake } = this.#keys;
    const { parcel } = (returned[0] as Returned).item;
    const mask = parcel.maskOf(returned.map(({ item }) => item));
    const each = returned.flatMap(({ item, outcome }) => [item.index + 1, outcome.verb, detailOf(outcome)]);
    const where = [consumers, inProcess, again, delayed, dead, marks, parcels];
    return client.millraceReturn(...where, clock.offset, name, incarnation, wake, parcel.number, mask, ...each);
  }
}

function detailOf(outcome: Returned['outcome']): string | number {
  if (outcome.verb === 'retry') return outcome.delay;
  return outcome.verb === 'reject' ? outcome.reason : '';
}
