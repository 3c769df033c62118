/** Answers requests. What it is told to hold it does not answer: it says so, and waits until it is not wanted any more. */
import { serve } from '../../lib/index.ts';
import { endWith, onStop, say, settings } from './parent.ts';

const { queue, ...options } = settings<{ queue: string; leaseTimeout: number }>();

const handlers = {
  double: (value: number) => value * 2,
  hold: (value: number, { signal }: { readonly signal: AbortSignal }) => {
    say({ held: value });
    return new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => {
        say({ aborted: value });
        resolve();
      });
    });
  },
  /** Gives so many parts, and then no more. */
  stall: async function* (parts: number) {
    for (let part = 0; part < parts; part += 1) yield part;
    say({ held: parts });
    await new Promise(() => {});
  },
};
const service = serve(queue, handlers, { ...options, concurrency: 64 });
service.ready.then(() => say({ ready: true }));
onStop(() => void service.close({ timeout: 100 }).catch(() => {}));
endWith(await Promise.allSettled([service.closed]));
