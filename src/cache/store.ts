import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { makeFolder } from '../make-folder.ts';
import { cacheKey } from './key.ts';

/** An entry that was found whole. */
export interface CacheHit {
  /** Where its files lie. Copy them out: a later `put` may trim the entry. */
  readonly folder: string;
  /** What `put` was given, through JSON. */
  readonly meta: unknown;
}

export interface CacheOptions {
  /** Folder of the cache; made when it is first written to. */
  readonly dir: string;
  /** Entries used longest ago go when all together are larger. */
  readonly maxBytes: number;
  /** Told when an entry is damaged or could not be kept; the cache then works as if it were not there. */
  readonly onProblem?: (sentence: string) => void;
}

interface Manifest {
  readonly key: string;
  readonly meta: unknown;
  readonly files: readonly { readonly name: string; readonly bytes: number; readonly sha256: string }[];
  /** Hash of all of the above. */
  readonly check: string;
}

const manifestName = 'entry.json';
const partPrefix = '.part-';
/** Copying the largest entry takes minutes; a part older than this has nobody who writes it. */
const longestWriteMs = 24 * 3_600_000;
/** The disk is full, a quota is used up. */
const noRoom: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT']);
const isKey = /^[0-9a-f]{64}$/;

/**
 * Results on disk by the hash of everything they depend on. What comes out is what went in: every file is hashed when it is
 * asked for, and a damaged entry is removed and counts as absent. A cache that cannot be read or written costs time, never a
 * result. Several processes may use one folder: entries appear whole, under their final name.
 */
export class CacheStore {
  readonly #options: CacheOptions;

  constructor(options: CacheOptions) {
    this.#options = options;
  }

  /** The entry of a key, its files verified; undefined when there is none or it is damaged. */
  async get(key: string): Promise<CacheHit | undefined> {
    const folder = this.#folder(key);
    let why: string | undefined;
    try {
      const manifest = JSON.parse(await readFile(join(folder, manifestName), 'utf8')) as Manifest;
      why = await damage(folder, key, manifest);
      if (why === undefined) {
        await touch(folder);
        return { folder, meta: manifest.meta };
      }
    } catch (error) {
      if (!(await exists(folder))) return undefined;
      why = error instanceof Error ? error.message : String(error);
    }
    this.#options.onProblem?.(`the cache entry ${key.slice(0, 12)} is damaged (${why}) and is made again`);
    await this.#attempt(() => rm(folder, { recursive: true, force: true }));
    return undefined;
  }

  /**
   * Keeps a result. A failure to do so, and a disk that is full, is told to `onProblem`; other errors of `write` are its own and come through.
   * @param write puts the files into the folder it is given (flat: no folders inside).
   */
  async put(key: string, meta: unknown, write: (folder: string) => Promise<void> = async () => {}): Promise<void> {
    const { dir, maxBytes } = this.#options;
    const part = join(dir, `${partPrefix}${process.pid}-${randomUUID()}`);
    if (!(await this.#attempt(() => makeFolder(part)))) return;
    try {
      if (!(await this.#written(part, write))) return;
      await this.#attempt(async () => {
        const files = await listFiles(part);
        const manifest = { key, meta, files };
        await writeFile(join(part, manifestName), JSON.stringify({ ...manifest, check: cacheKey(manifest) }));
        const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
        if (bytes > maxBytes) throw new Error(`an entry of ${bytes} bytes is larger than the whole cache may be`);
        const folder = this.#folder(key);
        await rm(folder, { recursive: true, force: true });
        await rename(part, folder).catch((error: unknown) => {
          // Another process was quicker with the same key, and so with the same content.
          if (codeOf(error) !== 'ENOTEMPTY' && codeOf(error) !== 'EEXIST') throw error;
        });
        await this.#trim(key);
      });
    } finally {
      await rm(part, { recursive: true, force: true });
    }
  }

  /** @returns false where the cache has no room */
  async #written(part: string, write: (folder: string) => Promise<void>): Promise<boolean> {
    try {
      await write(part);
      return true;
    } catch (error) {
      if (!noRoom.has(String(codeOf(error)))) throw error;
      this.#tell(error);
      return false;
    }
  }

  #folder(key: string): string {
    if (!isKey.test(key)) throw new RangeError(`not a cache key: ${key}`);
    return join(this.#options.dir, key);
  }

  /** Removes the entries used longest ago until the rest fits; the newest one stays. */
  async #trim(newest: string): Promise<void> {
    const { dir, maxBytes } = this.#options;
    const entries: { folder: string; bytes: number; used: number }[] = [];
    for (const name of await readdir(dir)) {
      const folder = join(dir, name);
      if (name.startsWith(partPrefix)) await this.#sweep(folder);
      if (name === newest || !isKey.test(name)) continue;
      const used = await stat(join(folder, manifestName)).then(
        ({ mtimeMs }) => mtimeMs,
        () => 0,
      );
      entries.push({ folder, bytes: await sizeOf(folder), used });
    }
    let total = entries.reduce((sum, { bytes }) => sum + bytes, await sizeOf(join(dir, newest)));
    for (const { folder, bytes } of entries.sort((a, b) => a.used - b.used)) {
      if (total <= maxBytes) return;
      await rm(folder, { recursive: true, force: true });
      total -= bytes;
    }
  }

  /** What a killed process was writing; one that still writes has touched it not long ago. */
  async #sweep(part: string): Promise<void> {
    const age = await stat(part).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => 0,
    );
    if (age > longestWriteMs) await rm(part, { recursive: true, force: true });
  }

  async #attempt(work: () => Promise<unknown>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      this.#tell(error);
      return false;
    }
  }

  #tell(error: unknown): void {
    const why = error instanceof Error ? error.message : String(error);
    this.#options.onProblem?.(`the cache in ${this.#options.dir} does not take a result: ${why}`);
  }
}

/** What is wrong with an entry, or undefined. */
async function damage(folder: string, key: string, manifest: Manifest): Promise<string | undefined> {
  const { check, ...rest } = manifest;
  if (rest.key !== key || cacheKey(rest) !== check) return 'its list of contents was changed';
  for (const { name, bytes, sha256 } of rest.files) {
    const path = join(folder, name);
    const size = await stat(path).then(
      (found) => found.size,
      () => undefined,
    );
    if (size !== bytes) return `${name} ${size === undefined ? 'is missing' : `has ${size} bytes instead of ${bytes}`}`;
    if ((await hashOf(path)) !== sha256) return `${name} has other content than when it was written`;
  }
  return undefined;
}

async function listFiles(folder: string): Promise<Manifest['files']> {
  const files = [];
  for (const name of (await readdir(folder)).sort()) {
    const path = join(folder, name);
    files.push({ name, bytes: (await stat(path)).size, sha256: await hashOf(path) });
  }
  return files;
}

async function sizeOf(folder: string): Promise<number> {
  let bytes = 0;
  // An entry that another process has just removed weighs nothing.
  for (const name of await readdir(folder).catch(() => [])) {
    bytes += await stat(join(folder, name)).then(
      ({ size }) => size,
      () => 0,
    );
  }
  return bytes;
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}

/** When it was last used decides who goes first; on a read-only cache nothing ever goes. */
async function touch(folder: string): Promise<void> {
  const now = new Date();
  await utimes(join(folder, manifestName), now, now).catch((error: unknown) => {
    if (codeOf(error) !== 'EROFS' && codeOf(error) !== 'EACCES' && codeOf(error) !== 'EPERM') throw error;
  });
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

const codeOf = (error: unknown): unknown => (error as NodeJS.ErrnoException).code;
