import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, type FileHandle, lstat, mkdtemp, open, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { UserError } from '../errors.ts';
import { makeFolder } from '../make-folder.ts';
import { swapFolder } from '../swap-folder.ts';
import { gzipStored, tar } from './archive.ts';
import { type Manifest, type ManifestFile, manifestName, printManifest } from './manifest.ts';
import type { BundlePlan } from './plan.ts';
import { printSums, sumsName } from './sums.ts';
import type { BundleFile } from './target.ts';

export interface WriteOptions {
  /** Replace a bundle that is already there. A folder that is not a bundle is never replaced. */
  readonly force?: boolean;
  /** Stops between files and leaves nothing behind. */
  readonly signal?: AbortSignal;
}

export interface Written {
  readonly bytes: number;
  readonly files: number;
  readonly manifest: Manifest;
}

/**
 * Writes a bundle so that it is there whole or not at all: everything goes to a temporary folder beside `outDir`, is
 * synced, and takes the final name by a rename. Models are copied as streams; every file is hashed as it is written.
 * @throws UserError `output-exists`, `bundle-write-failed`, `bundle-model` (a model file changed on disk meanwhile).
 */
export async function writeBundle(plan: BundlePlan, outDir: string, options: WriteOptions = {}): Promise<Written> {
  const target = resolve(outDir);
  let temp: string | undefined;
  try {
    await refuseToOverwrite(target, options.force ?? false);
    await makeFolder(dirname(target));
    temp = await mkdtemp(join(dirname(target), `.${basename(target)}.tmp-`));
    await chmod(temp, 0o755);
    const written = await fill(temp, plan, options.signal);
    await moveIntoPlace(temp, target);
    await syncFolder(dirname(target));
    return written;
  } catch (error) {
    if (temp !== undefined) await rm(temp, { recursive: true, force: true });
    throw explain(error, target);
  }
}

async function fill(dir: string, plan: BundlePlan, signal: AbortSignal | undefined): Promise<Written> {
  const folders = new Set<string>([dir]);
  const rows: ManifestFile[] = [];
  for (const file of plan.files) {
    signal?.throwIfAborted();
    const place = join(dir, file.path);
    for (let up = dirname(place); up !== dir; up = dirname(up)) folders.add(up);
    await makeFolder(dirname(place));
    const row = { path: file.path, ...(await writeFile(place, file)) };
    const expected = plan.expected.get(file.path);
    if (expected !== undefined && expected !== row.sha256) {
      throw new UserError(
        'bundle-model',
        `The model file for ${file.path} changed while the bundle was being written.`,
      );
    }
    rows.push(row);
  }
  const manifest: Manifest = { ...plan.manifest, files: rows };
  const own = await writeFile(join(dir, manifestName), { path: manifestName, bytes: printManifest(manifest) });
  const sums = printSums([...rows, { path: manifestName, sha256: own.sha256 }]);
  const last = await writeFile(join(dir, sumsName), { path: sumsName, bytes: sums });
  for (const folder of folders) await syncFolder(folder);
  return {
    bytes: rows.reduce((sum, row) => sum + row.bytes, own.bytes + last.bytes),
    files: rows.length + 2,
    manifest,
  };
}

async function writeFile(place: string, file: BundleFile): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  const handle = await open(place, 'wx', 0o644);
  try {
    for await (const chunk of chunks(file)) {
      hash.update(chunk);
      bytes += chunk.length;
      await writeAll(handle, chunk);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  return { bytes, sha256: hash.digest('hex') };
}

async function* chunks(file: BundleFile): AsyncIterable<Uint8Array> {
  if ('from' in file) {
    const { from, start = 0, end = Number.POSITIVE_INFINITY } = file;
    // The stream's own `end` counts the last byte in.
    yield* createReadStream(from, { highWaterMark: 1 << 20, start, end: end - 1 });
  } else if ('archive' in file) {
    const bytes = tar(file.archive);
    yield* file.gzip ? gzipStored(bytes) : bytes;
  } else yield typeof file.bytes === 'string' ? Buffer.from(file.bytes, 'utf8') : file.bytes;
}

async function writeAll(handle: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let at = 0; at < chunk.length; ) {
    const { bytesWritten } = await handle.write(chunk, at, chunk.length - at);
    at += bytesWritten;
  }
}

/** What a name in the file system stands for; symbolic links are not followed. */
async function kindOf(path: string): Promise<'none' | 'folder' | 'other'> {
  try {
    return (await lstat(path)).isDirectory() ? 'folder' : 'other';
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'none';
    throw error;
  }
}

async function refuseToOverwrite(target: string, force: boolean): Promise<void> {
  const kind = await kindOf(target);
  if (kind === 'none') return;
  if (kind === 'other')
    throw new UserError('output-exists', `${target} exists and is not a folder; choose another place.`);
  const entries = await readdir(target);
  if (entries.length === 0) return;
  if (!entries.includes(manifestName)) {
    throw new UserError(
      'output-exists',
      `${target} is not empty and holds no ${manifestName}, so it is not a bundle and is left alone; choose another place.`,
    );
  }
  if (!force) throw new UserError('output-exists', `${target} exists; use --force to replace the bundle in it.`);
}

async function moveIntoPlace(temp: string, target: string): Promise<void> {
  if ((await kindOf(target)) === 'none') return rename(temp, target);
  if ((await readdir(target)).length === 0) {
    await rmdir(target);
    return rename(temp, target);
  }
  const old = `${temp}.old`;
  await swapFolder(temp, target, old);
  await rm(old, { recursive: true, force: true });
}

/** Makes a rename or a new name durable; some systems cannot sync a folder, and say so with these codes. */
export async function syncFolder(dir: string): Promise<void> {
  try {
    const handle = await open(dir, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (!['EISDIR', 'EPERM', 'EINVAL', 'ENOTSUP'].includes(code)) throw error;
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EACCES: 'permission is denied',
  EPERM: 'permission is denied',
  EROFS: 'the file system is read-only',
  ENOTDIR: 'a part of the path is not a folder',
  ENOENT: 'a file that belongs in it is missing',
};

function explain(error: unknown, target: string): unknown {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  const reason = error instanceof UserError || code === undefined ? undefined : reasons[code];
  if (reason === undefined) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new UserError('bundle-write-failed', `Cannot write the bundle ${target}: ${reason} (${message}).`, {
    cause: error,
  });
}
