import type { Body, Sender } from '../../driver.ts';
import { MillraceError } from '../../errors.ts';
import type { RequestPacket } from '../../packet.ts';
import { functionOf } from './functions.ts';
import type { Requests } from './requests.ts';

/** Asks the requests that packets are: what goes over the wire are their parameters. */
export class RequestSender implements Sender {
  readonly #requests: Requests;
  readonly #queue: string;
  #isClosed = false;

  /** @param queue its name, with the prefix */
  constructor(requests: Requests, queue: string) {
    this.#requests = requests;
    this.#queue = queue;
    requests.submitter.retain();
  }

  async send(packets: readonly Body[]): Promise<boolean> {
    if (this.#isClosed) throw new MillraceError('CLOSED', 'The stream was closed before these requests were sent');
    await Promise.all(packets.map((packet) => this.#ask(JSON.parse(packet.toString()))));
    return true;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#requests.submitter.release();
  }

  async #ask({ id, method, parameters, deadline, headers, parts }: RequestPacket): Promise<void> {
    const functionName = functionOf(this.#queue, method);
    if (functionName === undefined || headers !== undefined) {
      const what = headers === undefined ? `a method called "${method.slice(0, 100)}"` : 'headers';
      this.#requests.fail(id, new MillraceError('NOT_SUPPORTED', `Gearman does not support ${what}`));
      return;
    }
    await this.#requests.ask({
      id,
      functionName,
      parameters: parameters === undefined ? '' : JSON.stringify(parameters),
      deadline: deadline ?? Number.POSITIVE_INFINITY,
      takesParts: parts !== undefined,
    });
  }
}
