/**
 * Asks, with so many requests in flight, for a while each, and prints how many round trips a second that made:
 * `requests-worker.ts <case> <url> <milliseconds to warm up for> <milliseconds to measure> <process id of the server>`. Who answers is a process of its own, which
 * this one starts: `… <case> <url> serve`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { job } from './case.ts';
import type { Asker } from './exchange.ts';
import { exchanges } from './exchanges.ts';
import { type Figures, Meter } from './meter.ts';
import { type Costs, IN_FLIGHT, type RoundTrips } from './requests.ts';
import { percentile } from './table.ts';

const [name = '', url = '', warmUp = '', measured = '', pid] = process.argv.slice(2);
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

/** What each of so many requests took, in microseconds of CPU of both ends and of the server, by the readings of the meters of both ends. */
function costsOf(count: number, asking: Figures, answering: Figures): Costs {
  const each = (seconds: number): number => (seconds * 1e6) / count;
  const { cpu, serverCpu, rss } = asking;
  return {
    cpu: answering.serverCpu === undefined ? undefined : each(cpu + answering.serverCpu),
    serverCpu: serverCpu === undefined ? undefined : each(serverCpu),
    rss,
  };
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
  const latencies: number[][] = [];
  const costs: Costs[] = [];
  await askFor(Number(warmUp), asker, Math.max(...IN_FLIGHT));
  for (const inFlight of IN_FLIGHT) {
    // Behind another load the compiler, and the garbage collector, have something to do at first.
    await askFor(Number(warmUp) / 3, asker, inFlight);
    const meter = new Meter(pid === undefined ? undefined : Number(pid));
    const otherMeter = new Meter(answering.pid);
    const { taken, lasted } = await askFor(Number(measured), asker, inFlight);
    costs.push(costsOf(taken.length, meter.read(), otherMeter.read()));
    rates.push(taken.length / lasted);
    latencies.push(taken);
  }
  await asker.close();
  answering.kill();
  const [alone = []] = latencies;
  const figures: RoundTrips = { rates, costs, p50: percentile(alone, 50), p99: percentile(alone, 99) };
  process.stdout.write(JSON.stringify(figures));
}
