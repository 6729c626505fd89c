import { existsSync } from 'node:fs';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeFolder } from '../src/make-folder.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mlpack-folder-'));
});
afterEach(async () => rm(dir, { recursive: true }));

describe('makeFolder', () => {
  it('makes what is missing, from several sides at once, and leaves what is there', async () => {
    const deep = join(dir, 'a', 'b', 'c');
    await Promise.all([makeFolder(deep), makeFolder(deep), makeFolder(join(deep, 'd'))]);
    await makeFolder(deep);
    expect(existsSync(join(deep, 'd'))).toBe(true);
  });

  it('gives new folders the mode', async () => {
    await makeFolder(join(dir, 'own', 'inner'), 0o700);
    expect((await stat(join(dir, 'own'))).mode & 0o777).toBe(0o700);
  });

  it('fails where a file is in the way', async () => {
    await writeFile(join(dir, 'file'), '');
    await expect(makeFolder(join(dir, 'file'))).rejects.toMatchObject({ code: 'EEXIST' });
    await expect(makeFolder(join(dir, 'file', 'x'))).rejects.toMatchObject({ code: 'ENOTDIR' });
  });

  it.runIf(existsSync('/proc/self'))('returns where the system says that a folder it has does not exist', async () => {
    await expect(makeFolder('/proc/mlpack/x')).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
