import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** What is to be done with the next bytes that come from one end. */
interface Cut {
  readonly from: 'client' | 'server';
  readonly part: number;
  done(): void;
}

/** Which link is to be held, and whom to tell. */
interface Hold {
  readonly words: string;
  done(release: () => void): void;
}

/** A TCP proxy before a server, whose links a test can cut, or make dead without a word. */
export class TcpProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #links = new Set<[Socket, Socket]>();
  #silent = false;
  #swallowed = 0;
  #cut: Cut | undefined;
  #hold: Hold | undefined;

  private constructor(target: number) {
    // What comes is passed on at once, as without a proxy.
    this.#server = createServer({ noDelay: true }, (near) => {
      const far = connect({ port: target, host: '127.0.0.1', noDelay: true });
      const link: [Socket, Socket] = [near, far];
      this.#links.add(link);
      const pass = (end: Cut['from'], from: Socket, to: Socket): void => {
        from.on('data', (bytes) => {
          if (end === 'client' && this.#hold && bytes.includes(this.#hold.words)) this.#holdBack(this.#hold, far);
          if (this.#silent) this.#swallowed += bytes.length;
          else if (this.#cut?.from === end) this.#reset(link, this.#cut, bytes, to);
          else to.write(bytes);
        });
        from.on('error', () => {});
        from.on('close', () => {
          this.#links.delete(link);
          if (!this.#silent) to.destroy();
        });
      };
      pass('client', near, far);
      pass('server', far, near);
    });
  }

  /** Listens on a free port, before the server at port `target`. */
  static async start(target: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(target);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  /** How many links are open. */
  get size(): number {
    return this.#links.size;
  }

  /** How many bytes did not pass, because it was silent. */
  get swallowed(): number {
    return this.#swallowed;
  }

  /** Resets every link that is open: both ends see it. */
  reset(): void {
    for (const sockets of this.#links) for (const socket of sockets) socket.resetAndDestroy();
  }

  /**
   * Resets one link in the middle of what comes next from one end: of that only a part, from 0 to 1, passes. From the client: the
   * server does not hear all of a command; from the server: it has carried the command out, and the client does not hear of it.
   * Resolves when that has happened.
   */
  cut(from: 'client' | 'server', part = 0): Promise<void> {
    return new Promise((done) => {
      this.#cut = { from, part, done };
    });
  }

  /**
   * Holds back what the server says on the link on which a client next says some words. Resolves, when they are said, with what lets it
   * pass again.
   */
  hold(words: string): Promise<() => void> {
    return new Promise((done) => {
      this.#hold = { words, done };
    });
  }

  /** From now on nothing passes and nothing is said, on old links and new ones: half-open links. */
  silence(silent: boolean): void {
    this.#silent = silent;
  }

  #holdBack({ done }: Hold, far: Socket): void {
    this.#hold = undefined;
    far.pause();
    done(() => far.resume());
  }

  #reset(link: readonly Socket[], { part, done }: Cut, bytes: Buffer, to: Socket): void {
    this.#cut = undefined;
    to.write(bytes.subarray(0, Math.floor(bytes.length * part)));
    for (const socket of link) socket.resetAndDestroy();
    done();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#silent = false;
    this.#server.close();
    for (const sockets of this.#links) for (const socket of sockets) socket.destroy();
    await once(this.#server, 'close');
  }
}
