import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** A server to compare with, as apt-get has it. */
export interface Program {
  readonly command: string;
  /** Of Debian. */
  readonly package: string;
  /** Where it is to be looked for before the PATH. */
  readonly folders?: readonly string[];
}

/** Where a program is, installed if need be; says that its rows stay empty, and gives nothing, where it can't be. */
export function provide(program: Program): string | undefined {
  const found = placeOf(program);
  if (found !== undefined) return found;
  process.stderr.write(`installing ${program.package} to compare with\n`);
  install(program.package);
  const installed = placeOf(program);
  if (installed === undefined) {
    process.stderr.write(`${program.package} can't be installed, so its rows stay empty\n`);
  }
  return installed;
}

function placeOf({ command, folders = [] }: Program): string | undefined {
  const path = process.env.PATH?.split(delimiter) ?? [];
  return [...folders, ...path].map((folder) => join(folder, command)).find((file) => existsSync(file));
}

/** The package shall not start it as a service: the bench starts one of its own. */
function install(name: string): void {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const [command, ...args] = process.getuid?.() === 0 ? ['apt-get'] : ['sudo', '-n', 'apt-get'];
  for (const step of [['update'], ['install', '-y', '--no-install-recommends', name]]) {
    spawnSync(command as string, [...args, ...step], { env, stdio: 'ignore' });
  }
}
