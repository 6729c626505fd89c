import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { cacheKey } from '../../src/cache/key.ts';
import { cacheFolder } from '../../src/cache/place.ts';
import { CacheStore } from '../../src/cache/store.ts';

let dir: string;
let problems: string[];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mlpack-cache-'));
  problems = [];
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const open = (maxBytes = 1e6, at = dir): CacheStore =>
  new CacheStore({ dir: at, maxBytes, onProblem: (sentence) => problems.push(sentence) });
const holding =
  (name: string, text: string) =>
  async (folder: string): Promise<void> =>
    writeFile(join(folder, name), text);
const key = cacheKey('a');

describe('the cache', () => {
  test('gives back what went in, to another process too', async () => {
    await open().put(key, { steps: [1, 'two'] }, holding('model.onnx', 'weights'));
    const hit = await open().get(key);
    expect(hit?.meta).toEqual({ steps: [1, 'two'] });
    expect(await readFile(join(hit?.folder ?? '', 'model.onnx'), 'utf8')).toBe('weights');
    expect(await open().get(cacheKey('b'))).toBeUndefined();
    expect(problems).toEqual([]);
  });

  test('a disk without room costs the entry, not the run; other errors of the writer come through', async () => {
    const failing = (code: string) => async (): Promise<void> => {
      throw Object.assign(new Error(`${code}: no`), { code });
    };
    await open().put(key, {}, failing('ENOSPC'));
    expect(problems).toEqual([expect.stringContaining('does not take a result: ENOSPC')]);
    expect(await readdir(dir)).toEqual([]);
    await expect(open().put(key, {}, failing('EBADF'))).rejects.toThrow('EBADF');
  });

  test.each([
    ['a flipped byte', async (folder: string) => writeFile(join(folder, 'model.onnx'), 'weighty'), 'other content'],
    ['a cut file', async (folder: string) => writeFile(join(folder, 'model.onnx'), 'w'), 'has 1 bytes instead of 7'],
    ['a lost file', async (folder: string) => rm(join(folder, 'model.onnx')), 'model.onnx is missing'],
    ['a cut list', async (folder: string) => writeFile(join(folder, 'entry.json'), '{"key":'), 'JSON'],
    ['a lost list', async (folder: string) => rm(join(folder, 'entry.json')), 'ENOENT'],
    [
      'changed facts',
      async (folder: string) => {
        const path = join(folder, 'entry.json');
        await writeFile(path, (await readFile(path, 'utf8')).replace('"steps":1', '"steps":2'));
      },
      'list of contents was changed',
    ],
  ])('finds damage and makes the entry again: %s', async (_, harm, why) => {
    await open().put(key, { steps: 1 }, holding('model.onnx', 'weights'));
    await harm(join(dir, key));
    expect(await open().get(key)).toBeUndefined();
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(why);
    expect(existsSync(join(dir, key))).toBe(false);
    await open().put(key, { steps: 1 }, holding('model.onnx', 'weights'));
    expect((await open().get(key))?.meta).toEqual({ steps: 1 });
  });

  test('stays within its size, and what was used last stays', async () => {
    const cache = open(250);
    const keys = ['a', 'b', 'c'].map(cacheKey);
    const past = new Date(Date.now() - 60_000);
    for (const [at, one] of keys.entries()) {
      await cache.put(one, null, holding('x', 'y'.repeat(50)));
      // Entries have about 330 bytes with their lists: one fits beside none.
      if (at < 2) await utimes(join(dir, one, 'entry.json'), past, past).catch(() => undefined);
    }
    expect(await readdir(dir)).toEqual([keys[2]]);
    const roomy = open(1000);
    await roomy.put(keys[0] as string, null, holding('x', 'y'.repeat(50)));
    await utimes(join(dir, keys[0] as string, 'entry.json'), past, past);
    await utimes(join(dir, keys[2] as string, 'entry.json'), past, past);
    await roomy.get(keys[0] as string);
    await roomy.put(keys[1] as string, null, holding('x', 'y'.repeat(350)));
    expect(new Set(await readdir(dir))).toEqual(new Set([keys[0], keys[1]]));
  });

  test('sweeps what a killed process left half written, and nothing that is being written', async () => {
    for (const name of ['.part-1-old', '.part-2-new']) await mkdir(join(dir, name));
    const past = new Date(Date.now() - 48 * 3_600_000);
    await utimes(join(dir, '.part-1-old'), past, past);
    await open().put(key, null, holding('x', 'y'));
    expect(new Set(await readdir(dir))).toEqual(new Set([key, '.part-2-new']));
  });

  test('says so and goes on where nothing can be kept', async () => {
    await writeFile(join(dir, 'file'), '');
    const cache = open(1e6, join(dir, 'file'));
    await cache.put(key, null, holding('x', 'y'));
    expect(problems).toHaveLength(1);
    expect(await cache.get(key)).toBeUndefined();
    const small = open(3);
    await small.put(key, null, holding('x', 'yyyy'));
    expect(problems[1]).toContain('larger than the whole cache');
    expect(await small.get(key)).toBeUndefined();
  });

  test('an entry that fails in the making leaves nothing', async () => {
    await mkdir(dir, { recursive: true });
    await expect(open().put(key, null, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await readdir(dir)).toEqual([]);
  });
});

describe('keys', () => {
  test('depend on content, not on the order of keys', () => {
    expect(cacheKey({ a: 1, b: [2, { c: 'x', d: undefined }] })).toBe(cacheKey({ b: [2, { c: 'x' }], a: 1 }));
    const different = [{ a: 1 }, { a: '1' }, { a: 1n }, { a: [1] }, { a: null }, { a: Number.NaN }, { b: 1 }, {}];
    expect(new Set(different.map(cacheKey)).size).toBe(different.length);
    expect(cacheKey(Float32Array.of(1))).not.toBe(cacheKey(new Uint32Array(Float32Array.of(1).buffer)));
    expect(cacheKey(Float32Array.of(0, 1).subarray(1))).toBe(cacheKey(Float32Array.of(1)));
  });

  test('the folder follows the system', () => {
    expect(cacheFolder({ MLPACK_CACHE: '/c', XDG_CACHE_HOME: '/x' }, 'linux')).toBe('/c');
    expect(cacheFolder({ XDG_CACHE_HOME: '/x' }, 'linux')).toBe(join('/x', 'mlpack'));
    expect(cacheFolder({}, 'darwin')).toContain('Caches');
    expect(cacheFolder({ LOCALAPPDATA: 'L' }, 'win32')).toBe(join('L', 'mlpack', 'cache'));
  });
});
