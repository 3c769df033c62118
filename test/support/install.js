/**
 * Installs what the tests need where it is missing: a redis-server of 7.0 or later, gearmand, and the command-line tool gearman. With apt-get
 * as root or with sudo, with brew on a Mac; elsewhere it says what to install. Plain JavaScript, for it runs before anything else does.
 */
import { spawnSync } from 'node:child_process';

const NEEDED = [
  { command: 'redis-server', apt: 'redis-server', brew: 'redis', minimum: 7 },
  { command: 'gearmand', apt: 'gearman-job-server', brew: 'gearman', minimum: 1 },
  // This one does not say which version it is.
  { command: 'gearman', apt: 'gearman-tools', brew: 'gearman' },
];

const run = (command, args, options) => spawnSync(command, args, { encoding: 'utf8', ...options });
const has = (command) => run(command, ['--version']).error === undefined;

/** The major version that a command says it has: 0 when it is not there. */
function major(command) {
  const { stdout } = run(command, ['--version']);
  return Number(/(?:v=|^\w+ )(\d+)\./m.exec(stdout ?? '')?.[1] ?? 0);
}

function isThere({ command, minimum }) {
  return minimum === undefined ? has(command) : major(command) >= minimum;
}

function install(program) {
  const { command, apt, brew, minimum } = program;
  const loud = { stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } };
  if (process.platform === 'darwin' && has('brew')) {
    run('brew', ['install', brew], loud);
  } else if (has('apt-get')) {
    const [first, ...rest] = process.getuid?.() === 0 ? ['apt-get'] : ['sudo', '-n', 'apt-get'];
    run(first, [...rest, 'update'], loud);
    // The tests start servers of their own: the package shall not start one as a service.
    run(first, [...rest, 'install', '-y', '--no-install-recommends', apt], {
      ...loud,
      env: { ...loud.env, RUNLEVEL: '1' },
    });
  }
  if (isThere(program)) return;
  const version = minimum === undefined ? '' : ` ${minimum}.0 or later`;
  console.error(`The tests need ${command}${version} in the PATH: install it, on Debian "apt-get install ${apt}".`);
  process.exitCode = 1;
}

for (const program of NEEDED) if (!isThere(program)) install(program);
