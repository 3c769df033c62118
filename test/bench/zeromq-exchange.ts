import type { Job } from './case.ts';
import { type Exchange, echo } from './exchange.ts';
import { type Frame, openZeroMq, type Socket } from './zeromq.ts';

export const ZEROMQ = 'ZeroMQ Dealer → Router, no server';

/** Sends messages one after the other, as a socket wants it. */
class Sending {
  readonly #socket: Socket;
  #waiting: (readonly Frame[])[] = [];
  #isSending = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  send(message: readonly Frame[]): void {
    this.#waiting.push(message);
    if (!this.#isSending) void this.#sendAll();
  }

  async #sendAll(): Promise<void> {
    this.#isSending = true;
    while (this.#waiting.length > 0) {
      const messages = this.#waiting;
      this.#waiting = [];
      for (const message of messages) await this.#socket.send(message);
    }
    this.#isSending = false;
  }
}

/** It tells who asks by a frame that comes first; requests and their replies by one of ours. */
export const zeroMqExchange: Exchange = {
  broker: 'direct',
  async serve(url) {
    // Where it is not mandatory that a reply reaches who asked, those beyond a thousand are thrown away.
    const socket = openZeroMq('Router', { mandatory: true });
    const sending = new Sending(socket);
    await socket.bind(url);
    const answer = async (asker: Buffer, id: Buffer, text: Buffer): Promise<void> => {
      const reply = await echo(JSON.parse(text.toString()) as Job);
      sending.send([asker, id, JSON.stringify(reply)]);
    };
    const loop = async (): Promise<void> => {
      for await (const [asker, id, text] of socket) void answer(asker as Buffer, id as Buffer, text as Buffer);
    };
    void loop();
  },
  connect(url) {
    const socket = openZeroMq('Dealer');
    const sending = new Sending(socket);
    const pending = new Map<string, (reply: { id: number }) => void>();
    socket.connect(url);
    const loop = async (): Promise<void> => {
      for await (const [id, text] of socket) {
        const key = String(id);
        pending.get(key)?.(JSON.parse(String(text)));
        pending.delete(key);
      }
    };
    void loop();
    let next = 0;
    return {
      ask(job) {
        const id = String(next++);
        sending.send([id, JSON.stringify(job)]);
        return new Promise((resolve) => pending.set(id, resolve));
      },
    };
  },
};
