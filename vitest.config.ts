import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    // Child processes that the engine forks inherit this: they run the sources as they are.
    execArgv: ['--import', new URL('./test/support/ts-loader.mjs', import.meta.url).href],
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
