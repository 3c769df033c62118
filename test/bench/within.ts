import { setTimeout as delay } from 'node:timers/promises';

/** What `work` gives; rejects, and names whose it is, where that takes longer than so many milliseconds. */
export async function within<T>(milliseconds: number, name: string, work: Promise<T>): Promise<T> {
  const over = new AbortController();
  const late = delay(milliseconds, undefined, over).then(() => {
    throw new Error(`"${name}" has taken longer than ${milliseconds / 1000} s`);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    over.abort();
  }
}
