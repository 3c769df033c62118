import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** What a walk passed by, counted. */
export interface PassedBy {
  links: number;
  others: number;
  folders: number;
}

/**
 * The paths of all regular files in a folder and the folders in it. Symbolic links are not followed, so no file is found twice
 * and no walk goes in a circle. When `signal` is aborted the walk just ends.
 */
export async function* walk(folder: string, passedBy: PassedBy, signal: AbortSignal): AsyncGenerator<string> {
  const folders = [folder];
  for (let next = folders.pop(); next !== undefined; next = folders.pop()) {
    // A folder that is gone meanwhile, or closed to us, is no reason to give up the others.
    const entries = await readdir(next, { withFileTypes: true }).catch(() => undefined);
    if (!entries) passedBy.folders += 1;
    for (const entry of entries ?? []) {
      if (signal.aborted) return;
      const path = join(next, entry.name);
      if (entry.isFile()) yield path;
      else if (entry.isDirectory()) folders.push(path);
      else if (entry.isSymbolicLink()) passedBy.links += 1;
      else passedBy.others += 1;
    }
  }
}
