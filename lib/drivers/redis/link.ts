import type { Redis } from 'ioredis';

/** How often a link is looked at, in milliseconds, and after how many looks without a word it is dead: in the second case while it writes. */
const LOOK = 1000;
const SILENT_LOOKS = 3;
const SILENT_LOOKS_WRITING = 30;

/**
 * Ends a connection on which commands wait and nothing comes: a dead link, of which TCP says nothing for many minutes. Looks are
 * counted, not time, and each lets the socket be read first: so a process that was busy for long does not take its own
 * silence for the server's, as ioredis's `socketTimeout` does.
 */
export function watchLink(client: Redis): void {
  const socket = client.stream;
  let read = -1;
  let silent = 0;
  const look = (): void => {
    const waits = client.commandQueue.length > 0 && socket.bytesRead === read;
    silent = waits ? silent + 1 : 0;
    read = socket.bytesRead;
    const patience = socket.writableLength > 0 ? SILENT_LOOKS_WRITING : SILENT_LOOKS;
    if (silent >= patience) socket.destroy(new Error(`Redis has not answered for ${patience} looks, ${LOOK} ms apart`));
  };
  const timer = setInterval(() => setImmediate(look), LOOK).unref();
  socket.once('close', () => clearInterval(timer));
}

/** Has all that is said in a call go out in one write. */
export function inOneWrite<Said>({ stream }: Redis, say: () => Said): Said {
  stream.cork();
  try {
    return say();
  } finally {
    stream.uncork();
  }
}
