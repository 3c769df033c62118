import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { Delivery } from '../../lib/index.ts';

/** What a worker found out about the file at a path. */
export type Result = HashedFile | UnreadableFile;

export interface HashedFile {
  path: string;
  bytes: number;
  sha256: string;
  /** Names the file itself, not its path: hard links have it in common. */
  inode: string;
}

export interface UnreadableFile {
  path: string;
  /** The system's code, as `ENOENT` for a file that is gone. */
  error: string;
}

/** A worker's handler: a path in, a result out. There is one for each path, also for a file that can't be read. */
export async function hash(path: string, { signal }: Delivery<string>): Promise<Result> {
  try {
    return await hashFile(path, signal);
  } catch (error) {
    return { path, error: (error as NodeJS.ErrnoException).code ?? String(error) };
  }
}

async function hashFile(path: string, signal: AbortSignal): Promise<HashedFile> {
  await using file = await open(path);
  const { dev, ino } = await file.stat();
  const content = file.createReadStream();
  const sha256 = createHash('sha256');
  await pipeline(content, sha256, { signal });
  return { path, bytes: content.bytesRead, sha256: sha256.digest('hex'), inode: `${dev}:${ino}` };
}
