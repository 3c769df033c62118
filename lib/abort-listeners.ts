/** Who is to be told when a signal is aborted. */
export interface Abortable {
  abort(reason: unknown): void;
}

/** Who listens to a signal: one listener for all. Node warns of more than ten, and looks through them all to remove one. */
class Listeners extends Set<Abortable> {
  handleEvent({ target }: Event): void {
    const all = [...this];
    this.clear();
    for (const one of all) one.abort((target as AbortSignal).reason);
  }
}

const listeners = new WeakMap<AbortSignal, Listeners>();

/** Has somebody told when a signal is aborted, once, until {@link forgetAbort}. */
export function onAbort(signal: AbortSignal, one: Abortable): void {
  const all = listeners.get(signal) ?? new Listeners();
  if (all.size === 0) {
    listeners.set(signal, all);
    signal.addEventListener('abort', all, { once: true });
  }
  all.add(one);
}

export function forgetAbort(signal: AbortSignal, one: Abortable): void {
  const all = listeners.get(signal);
  if (all?.delete(one) && all.size === 0) signal.removeEventListener('abort', all);
}
