import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { CacheStore } from '../../src/cache/store.ts';
import { openPassCache } from '../../src/cli/optimize/pass-cache.ts';
import { tempDir } from '../targets/support/temp.ts';

it('builds a variant again whose entry another process takes away while it is copied', async () => {
  const dir = await tempDir();
  const said: string[] = [];
  const session = { io: { env: { MLPACK_CACHE: dir } }, talk: { warn: (text: string) => said.push(text) } };
  const cache = openPassCache({ model: 'x' } as never, session as never);
  const built = join(dir, 'built');
  await mkdir(built);
  await writeFile(join(built, 'model.onnx'), 'weights');
  const files = [{ name: 'model.onnx', bytes: 7, sha256: '' }];
  await cache.keep([], { files } as never, built);
  expect(await cache.take([], join(dir, 'first'))).toMatchObject({ files });

  const get = vi.spyOn(CacheStore.prototype, 'get');
  get.mockImplementationOnce(async () => {
    const entries = await readdir(join(dir, 'variants'));
    const folder = join(dir, 'variants', entries[0] ?? '');
    await rm(folder, { recursive: true });
    return { folder, meta: { files } };
  });
  expect(await cache.take([], join(dir, 'second'))).toBeUndefined();
  expect(said).toEqual([expect.stringContaining('is built again')]);
  expect(existsSync(join(dir, 'second'))).toBe(false);
  get.mockRestore();
});
