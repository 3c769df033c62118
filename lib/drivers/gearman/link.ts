import { createConnection, type Socket } from 'node:net';
import type { Server } from '../../servers.ts';
import { type Packet, PacketReader, packet, Type } from './packets.ts';

/** How long nothing may be heard of a server before it is asked whether it is there, and then until it is given up: milliseconds. */
const SILENCE = 5000;

/** What is said of a link. */
export interface LinkEvents {
  /** Called when it is open. */
  opened(): void;
  /** Called with each packet, in order. It must not throw. */
  received(packet: Packet): void;
  /** Called once, when it is closed, whoever did it, also where it never opened. */
  closed(): void;
}

/** One TCP connection to a server, for its one life. */
export class Link {
  readonly server: Server;
  readonly #socket: Socket;
  readonly #events: LinkEvents;
  readonly #reader = new PacketReader();
  #isOpen = false;
  #isCorked = false;
  #isAsked = false;

  constructor(server: Server, events: LinkEvents) {
    this.server = server;
    this.#events = events;
    this.#socket = createConnection({ host: server.host, port: server.port, noDelay: true });
    this.#socket
      .on('connect', () => {
        this.#isOpen = true;
        events.opened();
      })
      .on('data', (chunk) => this.#hear(chunk))
      // What went wrong is of no use to anybody: it is closed, and another one is opened.
      .on('error', () => {})
      .on('close', () => {
        this.#isOpen = false;
        events.closed();
      })
      .on('timeout', () => this.#ask())
      .setTimeout(SILENCE);
  }

  /** Whether it can be sent on. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Sends a packet, together with all others of this turn. */
  send(bytes: Buffer): void {
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.#socket.cork();
      process.nextTick(() => {
        this.#isCorked = false;
        this.#socket.uncork();
      });
    }
    this.#socket.write(bytes);
  }

  /** Closes it behind what is sent. */
  end(): void {
    if (!this.#isOpen) {
      this.destroy();
      return;
    }
    this.#isOpen = false;
    this.#socket.end();
  }

  /** Closes it at once. */
  destroy(): void {
    this.#isOpen = false;
    this.#socket.destroy();
  }

  #hear(chunk: Buffer): void {
    this.#isAsked = false;
    let packets: Packet[];
    try {
      packets = this.#reader.read(chunk);
    } catch {
      this.destroy();
      return;
    }
    for (const one of packets) if (!this.#socket.destroyed) this.#events.received(one);
  }

  /** Asks a silent server whether it is there; gives up one that was asked before. */
  #ask(): void {
    if (this.#isAsked || !this.#isOpen) {
      this.destroy();
      return;
    }
    this.#isAsked = true;
    this.send(packet(Type.ECHO_REQ, ''));
  }
}
