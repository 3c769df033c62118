import type { Server } from '../../servers.ts';
import { Link, type LinkEvents } from './link.ts';

/** Who can say something of a job that it holds. */
export interface Speaker {
  /** Says a part of the reply to a request, in JSON. Resolves when the server has heard it. */
  say(handle: string, part: string): Promise<unknown>;
}

/** All links of one connection: so that they can be counted, and closed. */
export class Links {
  readonly servers: readonly Server[];
  readonly #open = new Set<Link>();
  /** Those of workers, by the name of each. */
  readonly workers = new Map<string, Speaker>();
  isClosed = false;
  #whenClosed: (() => void) | undefined;

  constructor(servers: readonly Server[]) {
    this.servers = servers;
  }

  get size(): number {
    return this.#open.size;
  }

  open(server: Server, events: LinkEvents): Link {
    const closed = (): void => {
      this.#open.delete(link);
      events.closed();
      if (this.#open.size === 0) this.#whenClosed?.();
    };
    const link = new Link(server, { ...events, closed });
    this.#open.add(link);
    return link;
  }

  /** Closes all at once, and opens no more. Resolves when they are closed. */
  async destroy(): Promise<void> {
    this.isClosed = true;
    for (const link of this.#open) link.destroy();
    while (this.#open.size > 0) await new Promise<void>((resolve) => (this.#whenClosed = resolve));
  }
}
