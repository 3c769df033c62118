import { createConnection } from 'node:net';
import type { Server } from '../../servers.ts';

/** How long a server has to answer, in milliseconds. */
const PATIENCE = 5000;

/** What a server knows of a function. */
export interface FunctionStatus {
  readonly name: string;
  /** Jobs that wait, or are worked on; of these those that are worked on. */
  readonly total: number;
  readonly running: number;
  readonly workers: number;
}

/** Asks a server, by its text protocol, for all of its functions. Rejects where it does not answer. */
export async function statusOf({ host, port }: Server): Promise<FunctionStatus[]> {
  const socket = createConnection({ host, port });
  socket.setTimeout(PATIENCE, () => socket.destroy(new Error('The server does not answer')));
  socket.write('status\n');
  let text = '';
  try {
    for await (const chunk of socket) {
      text += chunk;
      if (text === '.\n' || text.endsWith('\n.\n')) break;
    }
  } finally {
    socket.destroy();
  }
  return text.split('\n').slice(0, -2).flatMap(statusIn);
}

function statusIn(line: string): FunctionStatus[] {
  const [name, total, running, workers] = line.split('\t');
  if (name === undefined || workers === undefined) return [];
  return [{ name, total: Number(total), running: Number(running), workers: Number(workers) }];
}
