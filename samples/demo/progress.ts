import { Presets, SingleBar } from 'cli-progress';

export interface Progress {
  update(done: number, found: number): void;
  /** Says something, in a line of its own. */
  say(message: string): void;
  /** Shows nothing more. */
  stop(): void;
}

/** Shows on stderr how far it is: a bar in a terminal, else a line a second. */
export function showProgress(): Progress {
  return process.stderr.isTTY ? showBar() : showLines();
}

function showBar(): Progress {
  const format = '{bar} {percentage}% | {value} of {total} files';
  const bar = new SingleBar({ format, stream: process.stderr }, Presets.shades_classic);
  let stopped = false;
  return {
    update(done, found) {
      if (stopped) return;
      if (!bar.isActive) bar.start(found, done);
      bar.setTotal(found);
      bar.update(done);
    },
    say(message) {
      // The next update begins a new bar below.
      if (bar.isActive) bar.stop();
      console.error(message);
    },
    stop() {
      stopped = true;
      if (bar.isActive) bar.stop();
    },
  };
}

function showLines(): Progress {
  let next = 0;
  let stopped = false;
  return {
    update(done, found) {
      if (stopped || performance.now() < next) return;
      next = performance.now() + 1000;
      console.error(`${done} of ${found} files hashed`);
    },
    say: console.error,
    stop() {
      stopped = true;
    },
  };
}
