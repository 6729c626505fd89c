import { readdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import type { TestProject } from 'vitest/node';

const root = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Puts the sources of what child processes run (src/engine/*-entry.ts) together in a file for each, which `ts-hooks.mjs` gives them: they start some
 * hundred times in a run of the tests, and each time all of their modules would be transformed.
 */
export default async function bundleChildPrograms(project: TestProject): Promise<() => void> {
  const place = project.config.env.MLPACK_TEST_PROGRAMS;
  if (place === undefined) throw new Error('vitest.config.ts does not say where programs of child processes go');
  await bundleInto(place);
  project.onTestsRerun(() => bundleInto(place));
  return () => rmSync(place, { recursive: true, force: true });
}

async function bundleInto(place: string): Promise<void> {
  const folder = join(root, 'src/engine');
  const entries = readdirSync(folder).filter((name) => name.endsWith('-entry.ts'));
  const bundle = await rolldown({
    cwd: root,
    platform: 'node',
    input: Object.fromEntries(entries.map((name) => [basename(name, '.ts'), join(folder, name)])),
    external: (id) => !/^[./]/.test(id),
    checks: { ineffectiveDynamicImport: false },
  });
  await bundle.write({ dir: place, format: 'esm', entryFileNames: '[name].mjs', chunkFileNames: '[name]-[hash].mjs' });
  await bundle.close();
}
