/** Hooks of the whole run: an error that nobody handles fails it, and so does whatever keeps the process alive behind the last test. */
export const mochaHooks = {
  afterAll(): void {
    const timer = setTimeout(() => {
      console.error('Something is still open behind the last test:', process.getActiveResourcesInfo());
      process.exit(1);
    }, 10_000);
    timer.unref();
  },
};
