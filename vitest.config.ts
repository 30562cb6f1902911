import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/global-setup.ts'],
    testTimeout: 120_000,
    hookTimeout: 300_000,
    pool: 'forks',
    // Most of them wait: for servers to start, for locks, for a killed process to be resumed.
    maxWorkers: 3,
    // Real servers are killed and restarted here: in CI a test that fails is tried once more, and the report says so.
    retry: process.env.CI ? 1 : 0,
  },
});
