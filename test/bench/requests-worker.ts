/**
 * Asks, with so many requests in flight, for a while each, and prints how many round trips a second that made:
 * `requests-worker.ts <case> <url> <milliseconds to warm up for> <milliseconds to measure>`. Who answers is a process of its own, which
 * this one starts: `… <case> <url> serve`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { job } from './case.ts';
import { type Asker, exchanges } from './exchanges.ts';
import { IN_FLIGHT, type RoundTrips } from './requests.ts';
import { percentile } from './table.ts';

const [name = '', url = '', warmUp = '', measured = ''] = process.argv.slice(2);
const exchange = exchanges[name];
if (!exchange) throw new Error(`no such case: ${name}`);

/** Asks for a while in as many lanes as are to be in flight; gives the microseconds of each round trip, and how long it took. */
async function askFor(
  milliseconds: number,
  asker: Asker,
  inFlight: number,
): Promise<{ taken: number[]; lasted: number }> {
  const start = performance.now();
  const taken: number[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let now = performance.now(); now - start < milliseconds; ) {
      const id = next++;
      const reply = await asker.ask(job(id));
      if (reply.id !== id) throw new Error(`the reply to ${id} is one to ${reply.id}`);
      const done = performance.now();
      taken.push((done - now) * 1000);
      now = done;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  return { taken, lasted: performance.now() - start };
}

if (warmUp === 'serve') {
  await exchange.serve(url);
  process.stdout.write('ready\n');
} else {
  const self = fileURLToPath(import.meta.url);
  const answering = spawn(process.execPath, ['--import', 'tsx', self, name, url, 'serve'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(answering.stdout, 'data');
  const asker = await exchange.connect(url);
  const rates: number[] = [];
  let latency: number[] = [];
  for (const inFlight of IN_FLIGHT) {
    await askFor(Number(warmUp), asker, inFlight);
    const { taken, lasted } = await askFor(Number(measured), asker, inFlight);
    rates.push(taken.length / lasted);
    if (inFlight === 1) latency = taken;
  }
  await asker.close();
  answering.kill();
  const figures: RoundTrips = { rates, p50: percentile(latency, 50), p99: percentile(latency, 99) };
  process.stdout.write(JSON.stringify(figures));
}
