/** Finds duplicate files, to show what millrace does. `npm start -- --help` says how to use it. */
import { randomUUID } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { constants } from 'node:os';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { connect } from '../../lib/index.ts';
import { count } from './format.ts';
import { showProgress } from './progress.ts';
import { report } from './report.ts';
import { Search } from './search.ts';
import { startWorker, startWorkerProcess, type Worker } from './workers.ts';

const HELP = `Finds duplicate files: walks a folder, pushes the path of every file into a queue, lets workers pull them out and
hash the files, and reports which are the same.

Usage: npm start -- [options] [folder]

  folder            where to look; default: this project's node_modules

  --connection URL  where the queues are: memory: (default), or redis://[[user]:password@]host[:port][/db]
  --workers N       how many workers, 1 to 99, default 4; with Redis each is a process of its own
  --queue NAME      the queue's name; default: a new one each time
  --help            this text

Ctrl-C stops gracefully: the workers finish what is in their hands, and the report shows what has been found so far. What is
left stays in Redis: the same command with the name of that queue goes on. Ctrl-C again quits at once.

With Redis you may kill -9 any worker in the middle: the report is as complete and as right as without.`;

interface Options {
  folder: string;
  url: string;
  workers: number;
  queue: string;
}

/** What the command line says, or undefined where it asks for help. Throws, as parseArgs does, where it is wrong. */
function readOptions(args: string[]): Options | undefined {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      connection: { type: 'string', default: 'memory:' },
      workers: { type: 'string', default: '4' },
      queue: { type: 'string', default: `demo:${randomUUID()}` },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const [folder = fileURLToPath(new URL('../../node_modules', import.meta.url)), ...others] = positionals;
  if (others.length > 0) throw wrong(`There can be only one folder, not also ${others.join(', ')}`);
  if (!/^[1-9]\d?$/.test(values.workers)) throw wrong(`--workers must be a number from 1 to 99, not ${values.workers}`);
  return { folder, url: values.connection, workers: Number(values.workers), queue: values.queue };
}

/** An error with Node's code for a wrong argument. */
function wrong(message: string): Error {
  return Object.assign(new TypeError(message), { code: 'ERR_INVALID_ARG_VALUE' });
}

async function checkFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch((error) => {
    throw new Error(
      `Cannot look into ${folder}: ${error.code === 'ENOENT' ? 'there is no such folder' : error.message}`,
    );
  });
  if (!found.isDirectory()) throw new Error(`${folder} is not a folder`);
}

async function findDuplicates({ folder, url, workers, queue }: Options): Promise<void> {
  await using connection = connect(url);
  const unheard = setTimeout(() => console.error('Waiting for an answer from the server …'), 1000);
  await connection.ready.finally(() => clearTimeout(unheard));

  const inMemory = url.startsWith('memory:');
  const progress = showProgress();
  const startWorkers = (): Worker[] => {
    const each = Array.from({ length: workers });
    if (inMemory) return each.map(() => startWorker(queue, connection));
    const started = each.map(() => startWorkerProcess(queue, url, progress.say));
    progress.say(`Workers that you may kill -9: ${started.map(({ pid }) => pid).join(', ')}`);
    return started;
  };
  const search = new Search({
    folder,
    queue,
    connection,
    startWorkers,
    onProgress: progress.update,
  });
  onInterrupt(() => {
    progress.stop();
    console.error('Stopping as soon as the workers have finished what they hold. Ctrl-C again quits at once.');
    search.stop();
  });
  await search.run().finally(progress.stop);
  for (const failure of search.failures) {
    console.error(failure.message);
    process.exitCode = 1;
  }
  if (!search.complete) {
    const goOn = inMemory ? '' : ` Run this again with --queue ${queue} to go on.`;
    console.error(`Stopped with ${count(search.left, 'path')} left.${goOn}`);
    console.log('This is a part of the report: not all files have been hashed.\n');
  }
  console.log(report(folder, search.results.values(), search.passedBy));
}

/** npm and tsx pass on what the terminal has given us already: signals within so many milliseconds are one Ctrl-C. */
const ONE_PRESS = 500;

/** Calls `stop` on the first Ctrl-C, or SIGTERM; the second ends the process. */
function onInterrupt(stop: () => void): void {
  let first: number | undefined;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      process.exitCode = 128 + constants.signals[signal];
      if (first === undefined) stop();
      else if (performance.now() - first > ONE_PRESS) process.exit();
      first ??= performance.now();
    });
  }
}

try {
  const options = readOptions(process.argv.slice(2));
  if (!options) console.log(HELP);
  else {
    await checkFolder(options.folder);
    await findDuplicates({ ...options, folder: resolve(options.folder) });
  }
} catch (error) {
  const { message, code } = error as NodeJS.ErrnoException;
  console.error(message);
  // A wrong argument: an option that is unknown, or a name that no queue can have.
  process.exitCode = /^ERR_(PARSE_ARGS|INVALID_ARG)_/.test(code ?? '') ? 2 : 1;
}
