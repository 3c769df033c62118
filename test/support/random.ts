/** The seed of this run's random choices: printed, and taken from `MILLRACE_SEED` to repeat them. */
export const seed = Number(process.env['MILLRACE_SEED'] ?? Date.now() % 1_000_000);

/** Numbers from 0 to below 1 that are the same for the same seed (mulberry32). */
export function random(from: number = seed): () => number {
  let state = from;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
