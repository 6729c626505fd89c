import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { writeAtomically } from '../../src/cli/write.ts';
import { tempDir } from '../targets/support/temp.ts';

const dir = await tempDir();

it('writes pieces as one file, past what a killed run of the same process number has left', async () => {
  const path = join(dir, 'shard');
  writeFileSync(`${path}.part-${process.pid}`, 'half of it, and longer than the whole');
  await writeAtomically(path, [Uint8Array.of(1, 2), Uint8Array.of(3)], false);
  expect([...readFileSync(path)]).toEqual([1, 2, 3]);
  expect(readdirSync(dir)).toEqual(['shard']);
});

it('replaces nothing without being told, and no folder ever', async () => {
  const path = join(dir, 'text');
  await writeAtomically(path, 'one', false);
  await expect(writeAtomically(path, 'two', false)).rejects.toThrow('exists; give another --out');
  expect(readFileSync(path, 'utf8')).toBe('one');
  await writeAtomically(path, 'two', true);
  expect(readFileSync(path, 'utf8')).toBe('two');
  mkdirSync(join(dir, 'folder'));
  await expect(writeAtomically(join(dir, 'folder'), 'x', true)).rejects.toThrow('is a folder');
});
