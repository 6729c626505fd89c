import { rmSync } from 'node:fs';
import type { TestProject } from 'vitest/node';

/** Removes the cache that the tests of one run shared (MLPACK_CACHE of vitest.config.ts). */
export default function cleanCache(project: TestProject): () => void {
  const cache = project.config.env.MLPACK_CACHE;
  return () => {
    if (cache !== undefined) rmSync(cache, { recursive: true, force: true });
  };
}
