/**
 * A web server that streams what is done elsewhere, as it comes, as server-sent events: by http-worker.ts, of which there may be many.
 *
 *     npx tsx samples/events.ts 8080      (Ctrl-C stops it)
 *     npx tsx samples/http-worker.ts      (in another terminal)
 *     curl -N 'http://localhost:8080/?text=hello'
 *
 * Press Ctrl-C in the middle of a long text: the worker stops, too. So it does when nobody takes what it says: it is at most 16 letters ahead.
 * A browser reads it with new EventSource('http://localhost:8080/?text=hello'). The queue is in the Redis that MILLRACE_URL names, by default
 * redis://127.0.0.1:6379.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { Client } from '../lib/index.ts';
import type { Shouting } from './http-worker.ts';

const client = new Client<Shouting>('http-shouts');

/** The format: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation. */
async function* eventsOf(parts: AsyncIterable<unknown>) {
  for await (const part of parts) yield `data: ${JSON.stringify(part)}\n\n`;
  yield 'event: end\ndata: \n\n';
}

async function answer(request: IncomingMessage, response: ServerResponse) {
  const text = new URLSearchParams(request.url?.split('?')[1]).get('text') ?? '';
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  try {
    await pipeline(client.requestStream('spell', text), eventsOf, response);
  } catch (error) {
    // The browser has gone, or asks again by itself.
    console.log(`broken off: ${(error as Error).message}`);
  }
}

const [port = '8080'] = process.argv.slice(2);
const server = createServer(answer).listen(Number(port), 'localhost', () => {
  console.log(`listening at http://localhost:${(server.address() as AddressInfo).port}`);
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    server.close();
    void client.close();
  });
}
