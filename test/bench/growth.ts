import { writeFile } from 'node:fs/promises';
import { RedisServer } from '../support/redis.ts';
import { curvesOf, type GrowthFigures, pointsOf, textOf } from './growth-report.ts';
import { type Subject, subjects } from './growth-subjects.ts';
import { type CurveGroup, lineCharts } from './line-chart.ts';
import { describeMachine } from './machine.ts';
import { measurePrefetch } from './prefetch.ts';
import { Report } from './report.ts';
import { partOf, type Rounds, roundsOf, run, runInRounds } from './run.ts';
import type { Settings } from './settings.ts';

const CHART_TITLE = 'How cost grows';
const CHART_NOTE =
  'Throughput, memory of the process and clients of the server, by size (each step of the axis is ten times as much).';

/** The part of the `count` of the other tables that is moved at each size. */
const PART = 3;

/** Measures how cost grows with the number of things, and what is taken ahead of consumers, and prints a table of each. */
export async function measureGrowth({ quick, sizes, markdown, svg }: Settings): Promise<void> {
  await using server = await RedisServer.start();
  const report = new Report(markdown, quick);
  await report.print('Machine', await describeMachine(server));
  const rounds = { count: sizes.rounds, end: performance.now() + sizes.growthSeconds * 1000 };
  const count = Math.ceil(sizes.count / PART);
  const curves: CurveGroup[] = [];
  for (const [index, all] of subjects.entries()) {
    const subject = { ...all, sizes: all.sizes.filter((size) => size <= sizes.growthLargest) };
    const measured = await measureSubject(server, subject, partOf(rounds, subjects.length + 1 - index), count);
    const points = pointsOf(subject, measured);
    await report.printSection(subject.title, { text: textOf(subject, points), rounds: roundsOf(measured) });
    curves.push(curvesOf(subject, points));
    if (svg !== undefined) await writeFile(svg, lineCharts(CHART_TITLE, CHART_NOTE, curves));
  }
  await report.printSection('What is taken ahead', await measurePrefetch(server, rounds, sizes.count));
}

function measureSubject(
  server: RedisServer,
  { name, sizes, warmSize }: Subject,
  rounds: Rounds,
  count: number,
): Promise<GrowthFigures[][]> {
  return runInRounds(name, rounds, sizes.map(String), async (size) => {
    await server.client().flushall();
    return run<GrowthFigures>('growth-worker.ts', [name, server.url, size, count, warmSize]);
  });
}
