/**
 * A web server that has the work done elsewhere: by http-worker.ts, of which there may be many, on as many machines.
 *
 *     npx tsx samples/http.ts 8080        (Ctrl-C stops it gracefully: what it was asked it still answers)
 *     npx tsx samples/http-worker.ts      (in another terminal)
 *     curl 'http://localhost:8080/?text=hello'
 *
 * Press Ctrl-C while curl waits for a long text: the worker stops, too. Without a text the worker fails, with one of more than 30 letters
 * its time is over, and without a worker nobody is there to do it: each has a status of its own. The queue is in the Redis that
 * MILLRACE_URL names, by default redis://127.0.0.1:6379.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Client, MillraceError } from '../lib/index.ts';
import type { Shouting } from './http-worker.ts';

const client = new Client<Shouting>('http-shouts', { timeout: 3000, consumerTimeout: 1000 });

function statusOf(error: unknown): number {
  if (!(error instanceof MillraceError)) return 500;
  if (error.code === 'ERR_MILLRACE_TIMEOUT') return 504;
  if (error.code === 'ERR_MILLRACE_REMOTE') return 502;
  return error.retryable ? 503 : 500;
}

async function answer(request: IncomingMessage, response: ServerResponse) {
  const gone = new AbortController();
  // Also when all is answered: then there is nothing left to give up.
  response.on('close', () => gone.abort());
  const text = new URLSearchParams(request.url?.split('?')[1]).get('text') ?? '';
  try {
    const shouted = await client.request('shout', text, { signal: gone.signal });
    response.end(`${shouted}\n`);
  } catch (error) {
    if (gone.signal.aborted) return;
    response.writeHead(statusOf(error)).end(`${(error as Error).message}\n`);
  }
}

const [port = '8080'] = process.argv.slice(2);
const server = createServer(answer).listen(Number(port), 'localhost', () => {
  console.log(`listening at http://localhost:${(server.address() as AddressInfo).port}`);
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => server.close());
