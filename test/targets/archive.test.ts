/** Archives, read back by the system's tar and gzip and by Node's zlib. */
import { spawnSync } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { type ArchiveEntry, gzipStored, measure, tar } from '../../src/target/archive.ts';
import { tempDir } from './support/temp.ts';

const dir = await tempDir();

async function bytesOf(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of source) parts.push(part);
  return Buffer.concat(parts);
}

const large = Buffer.from(Uint8Array.from({ length: 200_000 }, (_, i) => (i * 7919) % 251));
const long = `${'folder-with-a-long-name/'.repeat(9)}größe.bin`;

async function entries(): Promise<ArchiveEntry[]> {
  await writeFile(join(dir, 'large'), large);
  return [
    { path: 'a.txt', bytes: 'größe' },
    { path: 'models/m/1/model.onnx', from: join(dir, 'large'), size: large.length },
    { path: 'models/m/empty', bytes: '' },
    { path: long, bytes: 'x'.repeat(511) },
  ];
}

it('is what tar unpacks, byte for byte, and the same twice', async () => {
  const archive = await bytesOf(gzipStored(tar(await entries())));
  expect(await bytesOf(gzipStored(tar(await entries())))).toEqual(archive);
  await writeFile(join(dir, 'a.tar.gz'), archive);
  const out = join(dir, 'out');
  await mkdir(out);
  const { status, stderr } = spawnSync('tar', ['-xzf', '../a.tar.gz'], { cwd: out, encoding: 'utf8' });
  expect([status, stderr]).toEqual([0, '']);
  expect(await readFile(join(out, 'a.txt'), 'utf8')).toBe('größe');
  expect(await readFile(join(out, 'models/m/1/model.onnx'))).toEqual(large);
  expect(await readFile(join(out, 'models/m/empty'), 'utf8')).toBe('');
  expect(await readFile(join(out, long), 'utf8')).toBe('x'.repeat(511));
  const { stdout } = spawnSync('tar', ['-tvzf', 'a.tar.gz', '--numeric-owner'], { cwd: dir, encoding: 'utf8' });
  expect(stdout.split('\n').slice(0, 3)).toEqual([
    expect.stringMatching(/^-rw-r--r-- 0\/0 +6 1970-01-01 .* a.txt$|^-rw-r--r-- 0\/0 +7 1970-01-01 .* a.txt$/),
    expect.stringMatching(/^drwxr-xr-x 0\/0 +0 1970-01-01 .* models\/$/),
    expect.stringMatching(/^drwxr-xr-x 0\/0 +0 1970-01-01 .* models\/m\/$/),
  ]);
});

it.each([0, 1, 65_534, 65_535, 65_536, 131_070, 131_071])(
  'is gzip for %i bytes, in whatever pieces they come',
  async (length) => {
    const bytes = Buffer.alloc(length, 'ab');
    async function* pieces() {
      for (let at = 0; at < length; at += 30_000) yield bytes.subarray(at, at + 30_000);
    }
    const packed = await bytesOf(gzipStored(pieces()));
    expect(gunzipSync(packed).equals(bytes)).toBe(true);
    expect((await measure(gzipStored(pieces()))).bytes).toBe(packed.length);
  },
);

it('refuses a file that is not as large as it was', async () => {
  const wrong = [{ path: 'x', from: join(dir, 'large'), size: 3 }];
  await entries();
  await expect(measure(tar(wrong))).rejects.toThrow('The file for x changed');
});
