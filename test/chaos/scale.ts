/** How much is done, and how often it is disturbed: all of it for who soaks, less in a run of all tests. */
export const scale = process.env['MILLRACE_SOAK']
  ? {
      jobs: 100_000,
      hops: 100_000,
      plan: { cuts: 200, serverKills: 20, workerKills: 20, takeovers: 5 },
      pushes: { items: 20_000, resets: 200 },
      carried: { items: 20_000, resets: 200 },
      imported: 100_000,
      requests: { count: 20_000, kills: 100 },
    }
  : {
      jobs: 50_000,
      hops: 20_000,
      plan: { cuts: 100, serverKills: 4, workerKills: 8, takeovers: 2 },
      pushes: { items: 20_000, resets: 200 },
      carried: { items: 8000, resets: 40 },
      imported: 50_000,
      requests: { count: 20_000, kills: 100 },
    };
