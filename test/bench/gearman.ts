import { GearmanServer } from '../support/gearman.ts';
import type { Move } from './case.ts';
import { gearman, RAW } from './gearman-cases.ts';
import type { Figures } from './meter.ts';
import { type Rounds, roundsOf, runInRounds } from './run.ts';
import type { Section } from './section.ts';
import { median, ratio, spread, table } from './table.ts';
import { WarmProcess } from './warm-process.ts';
import { WarmProcesses } from './warm-processes.ts';

/** How many jobs one run of a case moves. */
export const GEARMAN_JOBS = 2000;

const QUEUE = 'bench';

/** Has jobs pushed to a gearmand and worked off in every way, and gives the table of it. */
export async function measureGearman(rounds: Rounds): Promise<Section> {
  await using server = await GearmanServer.start();
  const names = Object.keys(gearman);
  await using processes = await WarmProcesses.start(names, (name) =>
    WarmProcess.start<Move, Figures>('worker.ts', [name, server.url]),
  );
  const runCase = async (name: string): Promise<Figures> => {
    const taken = await processes.ask(name, { queue: QUEUE, count: GEARMAN_JOBS });
    const { total } = await server.status(QUEUE);
    if (total > 0) throw new Error(`${name} left ${total} jobs behind`);
    return taken;
  };
  const figures = await runInRounds('gearman', rounds, names, runCase, runCase);
  const times = figures.map((taken) => taken.map(({ seconds }) => seconds * 1000));
  const rows = names.map((name, index) => {
    const own = times[index] ?? [];
    return [name, median(own).toFixed(0), spread(own), ratio(own, times[names.indexOf(RAW)])];
  });
  return { text: table(['case', 'ms', 'min–max', 'to raw'], rows), rounds: roundsOf(figures) };
}
