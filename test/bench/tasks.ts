/**
 * Does, in a `WarmProcess`, what it is told to by the process that has started it, and tells what each time has come to. What fails ends
 * it.
 */
export function doTasks<Task, Result>(work: (task: Task) => Promise<Result>): void {
  process.on('message', async (task: Task) => process.send?.(await work(task)));
  beReady();
}

/** Tells who has started this process that it is ready, and ends when that is gone. */
export function beReady(): void {
  process.once('disconnect', () => process.exit());
  process.send?.('ready');
}
