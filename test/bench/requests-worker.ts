/**
 * Asks, as often as it is told to, and tells what each time has come to: `requests-worker.ts <case> <url> <process id of the server, if
 * it is known>`. Who answers is a process of its own, which this one starts: `… <case> <url> serve`.
 */
import { job } from './case.ts';
import type { Asker } from './exchange.ts';
import { exchanges } from './exchanges.ts';
import { Meter } from './meter.ts';
import type { Ask, RoundTrips } from './requests.ts';
import { percentile } from './table.ts';
import { beReady, doTasks } from './tasks.ts';
import { WarmProcess } from './warm-process.ts';

const [name = '', url = '', role] = process.argv.slice(2);
const exchange = exchanges[name];
if (!exchange) throw new Error(`no such case: ${name}`);

/** The next job's number. */
let next = 0;

/** Asks for a while in as many lanes as are to be in flight; gives the microseconds of each round trip, and how many milliseconds it took. */
async function askFor({ milliseconds, inFlight }: Ask, asker: Asker): Promise<{ taken: number[]; lasted: number }> {
  const start = performance.now();
  const taken: number[] = [];
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

/** Asks, and measures both ends and the server meanwhile. */
async function measure(ask: Ask, asker: Asker, answering: number | undefined): Promise<RoundTrips> {
  const meter = new Meter(role === undefined ? undefined : Number(role));
  const otherMeter = new Meter(answering);
  const { taken, lasted } = await askFor(ask, asker);
  const { cpu, serverCpu, rss } = meter.read();
  const otherCpu = otherMeter.read().serverCpu;
  const each = (seconds: number | undefined): number | undefined => seconds && (seconds * 1e6) / taken.length;
  return {
    rate: taken.length / lasted,
    p50: percentile(taken, 50),
    p99: percentile(taken, 99),
    cpu: otherCpu && each(cpu + otherCpu),
    serverCpu: each(serverCpu),
    rss,
  };
}

if (role === 'serve') {
  await exchange.serve(url);
  beReady();
} else {
  const answering = await WarmProcess.start('requests-worker.ts', [name, url, 'serve']);
  const asker = await exchange.connect(url);
  doTasks((ask: Ask) => measure(ask, asker, answering.pid));
}
