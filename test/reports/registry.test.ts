import { readdirSync } from 'node:fs';
import { expect, it } from 'vitest';
import { reports } from '../../reports/index.ts';

it('registers every format in the folder, and nothing else', async () => {
  const folder = new URL('../../reports/', import.meta.url);
  const files = readdirSync(folder).filter((name) => name.endsWith('.ts') && name !== 'index.ts');
  const found = await Promise.all(
    files.map(async (name) => Object.values((await import(new URL(name, folder).href)) as Record<string, unknown>)),
  );
  expect(new Set(reports)).toEqual(new Set(found.flat()));
  expect(reports).toHaveLength(files.length);
  expect(reports.map((one) => one.id)).toEqual(['html', 'md', 'json', 'junit', 'github', 'sarif']);
});
