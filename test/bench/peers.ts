/** What the benchmarks compare with: packages that only they need, in a folder of their own, installed on first use. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const execute = promisify(execFile);

const folder = new URL('peers/', import.meta.url);

/** In milliseconds. */
const TIME_LIMIT = 120_000;

/** Loads a peer; `T` is what is used of it, for its types are there only when it is. */
export function requirePeer<T>(name: string): T {
  return createRequire(new URL('package.json', folder))(name);
}

/** Installs the peers unless they are there, and says why not where it fails. */
export async function installPeers(): Promise<void> {
  if (dependencies().every(([name]) => isInstalled(name))) return;
  process.stderr.write('installing what to compare with\n');
  const options = { cwd: fileURLToPath(folder), timeout: TIME_LIMIT };
  try {
    await execute('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], options);
  } catch (error) {
    process.stderr.write(`not all of it can be installed, so rows stay empty: ${(error as Error).message}\n`);
  }
}

/** Whether a peer is there, in the version that is asked for. */
export function isInstalled(peer: string): boolean {
  const wanted = dependencies().find(([name]) => name === peer)?.[1];
  try {
    return manifestOf(`node_modules/${peer}`).version === wanted;
  } catch {
    return false;
  }
}

function dependencies(): [name: string, version: string][] {
  return Object.entries(manifestOf('.').dependencies ?? {});
}

function manifestOf(place: string): { version: string; dependencies?: Record<string, string> } {
  return JSON.parse(readFileSync(new URL(`${place}/package.json`, folder), 'utf8'));
}
