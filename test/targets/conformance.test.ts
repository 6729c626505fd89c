import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { packageRoot } from '../../src/target/package-root.ts';
import { targets } from '../../targets/index.ts';
import { conforms } from './support/conformance.ts';
import { tempDir } from './support/temp.ts';

const dir = await tempDir();

it('the registry equals the folder', async () => {
  const entries = await readdir(join(packageRoot(), 'targets'), { withFileTypes: true });
  const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  expect(targets.map(({ id }) => id)).toEqual(folders.sort());
});

// The browser's bundles take as long as all others: a file of their own, beside which another worker does these.
conforms(
  targets.filter(({ id }) => id !== 'browser'),
  dir,
);
