import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

/** In milliseconds. */
const TIME_LIMIT = 60_000;

/** Resolves when a process says this in a line of its output; rejects when it ends, or a minute is over, before that. What it says later is thrown away. */
export async function untilSaid(child: ChildProcess, output: Readable, text: string): Promise<void> {
  const lines = createInterface({ input: output });
  let timer: NodeJS.Timeout | undefined;
  const said = new Promise<void>((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${child.spawnfile} does not say "${text}"`)), TIME_LIMIT);
    lines.on('line', (line) => line.includes(text) && resolve());
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${child.spawnfile} ended with ${code}`)));
  });
  await said.finally(() => clearTimeout(timer));
}
