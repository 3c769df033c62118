/**
 * Hooks of the whole run. A loss that a stream could only warn of fails the test it happened in; what keeps the process alive behind
 * the last test fails the run.
 */
const losses: Error[] = [];

process.on('warning', (warning) => {
  if (warning.name === 'MillraceError') losses.push(warning);
});

export const mochaHooks = {
  afterEach(): void {
    const [loss] = losses.splice(0);
    if (loss) throw loss;
  },
  afterAll(): void {
    const timer = setTimeout(() => {
      console.error('Something is still open behind the last test:', process.getActiveResourcesInfo());
      process.exit(1);
    }, 10_000);
    timer.unref();
  },
};
