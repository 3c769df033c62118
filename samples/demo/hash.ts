import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';

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

/** For a pipeline: paths in, results out. There is one for each path, also for a file that can't be read. */
export async function* hash(paths: AsyncIterable<string>): AsyncGenerator<Result> {
  for await (const path of paths) {
    try {
      yield await hashFile(path);
    } catch (error) {
      yield { path, error: (error as NodeJS.ErrnoException).code ?? String(error) };
    }
  }
}

async function hashFile(path: string): Promise<HashedFile> {
  await using file = await open(path);
  const { dev, ino } = await file.stat();
  const content = file.createReadStream();
  const sha256 = createHash('sha256');
  await pipeline(content, sha256);
  return { path, bytes: content.bytesRead, sha256: sha256.digest('hex'), inode: `${dev}:${ino}` };
}
