import { readdirSync } from 'node:fs';
import { expect, it } from 'vitest';
import { passes } from '../../passes/index.ts';
import { presets } from '../../passes/presets.ts';

const folder = new URL('../../passes/', import.meta.url);

function isPass(value: unknown): boolean {
  return typeof value === 'function' && 'numerics' in value && 'rules' in value;
}

it('registers every pass in the folder, and nothing else', async () => {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => name.replaceAll('\\', '/'))
    .filter((name) => name.endsWith('.ts') && name !== 'index.ts');
  const modules = await Promise.all(files.map((name) => import(new URL(name, folder).href) as Promise<object>));
  const found = modules.flatMap((module) => Object.values(module)).filter(isPass);
  expect(new Set(passes)).toEqual(new Set(found));
  expect(new Set(passes.map(({ id }) => id)).size).toBe(passes.length);
});

it('builds presets from registered passes only', () => {
  const ids = new Set(passes.map(({ id }) => id));
  const used = Object.values(presets).flatMap((steps) => steps.map(({ pass }) => pass.id));
  expect(used.filter((id) => !ids.has(id))).toEqual([]);
});
