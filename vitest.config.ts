import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { SlowFirst } from './test/support/slow-first.ts';

/** Tests of functions alone: they leave nothing behind in the process, and the modules that they share keep nothing but tables. */
const pure = ['test/kernels/**/*.test.ts', 'test/onnx/**/*.test.ts'];

export default defineConfig({
  test: {
    projects: [
      { extends: true, test: { name: 'all', include: ['test/**/*.test.ts'], exclude: pure } },
      // A process for each of these takes longer than what it runs.
      { extends: true, test: { name: 'pure', include: pure, isolate: false } },
    ],
    pool: 'forks',
    // Vitest leaves one CPU out, which is half of a machine with two.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    // Child processes that the engine forks inherit this: they run the sources as they are.
    execArgv: ['--import', new URL('./test/support/ts-loader.mjs', import.meta.url).href],
    env: {
      // Never the user's own cache: what an earlier run left there would decide what is tested.
      MLPACK_CACHE: join(tmpdir(), `mlpack-test-cache-${process.pid}`),
      // Within the checkout, from where packages are found.
      MLPACK_TEST_PROGRAMS: fileURLToPath(
        new URL(`./node_modules/.cache/mlpack-test-programs-${process.pid}`, import.meta.url),
      ),
    },
    globalSetup: ['test/support/clean-cache.ts', 'test/support/child-programs.ts'],
    sequence: { sequencer: SlowFirst },
    // Pages are late on a busy machine, and the default is a second.
    expect: { poll: { timeout: 30_000 } },
    testTimeout: 180_000,
    hookTimeout: 300_000,
  },
});
