import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { dropOldParts, putBlob, replaceFile } from '../../src/target/channel/folder.ts';
import { tempDir } from './support/temp.ts';

const dir = await tempDir();

it('takes the same file from publishers that are at work at once, and leaves no parts', async () => {
  const bytes = Buffer.alloc(3_000_000, 'weights');
  await writeFile(join(dir, 'model.onnx'), bytes);
  const file = { path: 'model.onnx', bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
  const folder = join(dir, 'www');
  await Promise.all([1, 2, 3].map(() => putBlob(folder, join(dir, 'model.onnx'), file)));
  expect(await readdir(join(folder, 'blobs'))).toEqual([file.sha256]);
  expect(bytes.equals(await readFile(join(folder, 'blobs', file.sha256)))).toBe(true);
  const texts = ['short', 'long'.repeat(100_000)];
  await Promise.all(texts.map((text) => replaceFile(join(folder, 'channels/stable.json'), text)));
  expect(texts).toContain(await readFile(join(folder, 'channels/stable.json'), 'utf8'));
  expect(await readdir(join(folder, 'channels'))).toEqual(['stable.json']);
});

it('keeps no part of a file that changed, nor that of a publisher who was killed, and that of one at work', async () => {
  const folder = join(dir, 'old');
  await expect(
    putBlob(folder, join(dir, 'model.onnx'), { path: 'model.onnx', bytes: 1, sha256: '0'.repeat(64) }),
  ).rejects.toThrow('changed while it was being published');
  expect(await readdir(join(folder, 'blobs'))).toEqual([]);
  await mkdir(join(folder, 'blobs'), { recursive: true });
  for (const name of ['a.tmp', 'b.tmp-1', 'c.tmp-2', 'd']) await writeFile(join(folder, 'blobs', name), 'x');
  const now = Date.now();
  for (const name of ['a.tmp', 'b.tmp-1', 'd']) await utimes(join(folder, 'blobs', name), 0, now / 1000 - 2 * 86_400);
  await dropOldParts(folder, now);
  expect((await readdir(join(folder, 'blobs'))).sort()).toEqual(['c.tmp-2', 'd']);
});

it('puts a file in the place of one that is damaged', async () => {
  const bytes = Buffer.from('weights');
  await writeFile(join(dir, 'small.onnx'), bytes);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const [folder, file] = [join(dir, 'damaged'), { path: 'small.onnx', bytes: bytes.length, sha256 }];
  const put = (): Promise<boolean> => putBlob(folder, join(dir, 'small.onnx'), file);
  expect([await put(), await put()]).toEqual([true, false]);
  await writeFile(join(folder, 'blobs', sha256), 'wXights');
  expect(await put()).toBe(true);
  expect((await readFile(join(folder, 'blobs', sha256))).equals(bytes)).toBe(true);
});
