import { createHash, randomBytes } from 'node:crypto';
import { type FileHandle, link, lstat, open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { UserError } from '../errors.ts';
import { makeFolder } from '../make-folder.ts';

interface WrittenFile {
  readonly bytes: number;
  readonly sha256: string;
}

interface Pending {
  readonly path: string;
  readonly temp: string;
}

/** Small pieces are gathered up to this size before they are written. */
const gatherBytes = 1024 * 1024;

/**
 * Files that appear together or not at all: each is written beside its final place under a temporary name, and all take
 * their names in `commit`, in the order written. A failure leaves what was there before.
 */
export class OutputFiles {
  readonly #force: boolean;
  readonly #signal: AbortSignal | undefined;
  readonly #pending: Pending[] = [];

  constructor(force: boolean, signal?: AbortSignal) {
    this.#force = force;
    this.#signal = signal;
  }

  /** Refuses, before any work, a place that is taken or has no folder. @throws UserError */
  async claim(path: string): Promise<void> {
    const there = await kindOf(path);
    if (there === 'folder') throw new UserError('output-exists', `${path} is a folder; give a file name.`);
    if (there === 'file' && !this.#force) {
      throw new UserError('output-exists', `${path} exists already; use --force to replace it, or another name.`);
    }
  }

  /** Writes and syncs the pieces under a temporary name. */
  async write(path: string, pieces: Iterable<Uint8Array>): Promise<WrittenFile> {
    const dir = dirname(path);
    const temp = join(dir, `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
    try {
      await makeFolder(dir);
      const file = await open(temp, 'wx');
      this.#pending.push({ path, temp });
      try {
        const written = await fill(file, pieces, this.#signal);
        await file.sync();
        return written;
      } finally {
        await file.close();
      }
    } catch (error) {
      throw explain(error, path);
    }
  }

  /** Gives all files their names. When one cannot be placed, those before it are taken back. */
  async commit(): Promise<void> {
    const placed: { readonly path: string; readonly backup: string | undefined }[] = [];
    let current = '';
    try {
      for (const { path, temp } of this.#pending) {
        current = path;
        await this.claim(path);
        // A lone file is replaced in one step; of several, the old ones are kept until all new ones stand.
        const backup = this.#pending.length > 1 ? await setAside(path) : undefined;
        placed.push({ path, backup });
        await rename(temp, path);
      }
    } catch (error) {
      for (const { path, backup } of placed.reverse()) {
        if (!backup) {
          if (this.#pending.length > 1) await rm(path, { force: true });
          continue;
        }
        await rename(backup, path);
        // Where the old file was never replaced, both names are links to it, and rename leaves both (POSIX).
        await rm(backup, { force: true });
      }
      throw explain(error, current);
    }
    for (const { backup } of placed) if (backup) await rm(backup, { force: true });
    for (const dir of new Set(this.#pending.map(({ path }) => dirname(path)))) await syncFolder(dir);
    this.#pending.length = 0;
  }

  /** Removes what was written and not committed. */
  async discard(): Promise<void> {
    for (const { temp } of this.#pending) await rm(temp, { force: true });
    this.#pending.length = 0;
  }
}

/** Pieces are hashed while they are on their way to the disk, and the next one is made meanwhile. */
async function fill(file: FileHandle, pieces: Iterable<Uint8Array>, signal?: AbortSignal): Promise<WrittenFile> {
  const hash = createHash('sha256');
  const gathered = Buffer.allocUnsafeSlow(gatherBytes);
  let used = 0;
  let bytes = 0;
  let underway: Promise<void> = Promise.resolve();
  const send = async (data: Uint8Array, position: number): Promise<void> => {
    for (let at = 0; at < data.byteLength; ) {
      at += (await file.write(data, at, data.byteLength - at, position + at)).bytesWritten;
    }
  };
  const put = async (data: Uint8Array): Promise<void> => {
    await underway;
    signal?.throwIfAborted();
    underway = send(data, bytes);
    // A failure is met at the next `await underway`; until then it must not count as unhandled.
    underway.catch(() => undefined);
    hash.update(data);
    bytes += data.byteLength;
  };
  const flush = async (): Promise<void> => {
    if (used === 0) return;
    await put(gathered.subarray(0, used));
    // This memory is filled again.
    await underway;
    used = 0;
  };
  try {
    for (const piece of pieces) {
      if (used + piece.byteLength > gatherBytes) await flush();
      if (piece.byteLength >= gatherBytes / 4) {
        await flush();
        await put(piece);
      } else {
        gathered.set(piece, used);
        used += piece.byteLength;
      }
    }
    await flush();
  } finally {
    // Nothing may write into the file after it is closed.
    await underway;
  }
  return { bytes, sha256: hash.digest('hex') };
}

/** Keeps an existing file under a second name. A link leaves the place filled; where there are none, it is moved. */
async function setAside(path: string): Promise<string | undefined> {
  if ((await kindOf(path)) === 'none') return undefined;
  const backup = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.old`);
  try {
    await link(path, backup);
  } catch (error) {
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EXDEV', 'EMLINK'].includes(codeOf(error))) throw error;
    await rename(path, backup);
  }
  return backup;
}

async function kindOf(path: string): Promise<'none' | 'file' | 'folder'> {
  try {
    await lstat(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return 'none';
    throw explain(error, path);
  }
  // A link to a folder is a folder to whoever names it; a broken link is a place that is taken.
  const target = await stat(path).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw explain(error, path);
  });
  return target?.isDirectory() ? 'folder' : 'file';
}

/** Makes the new names durable. Windows cannot sync folders. */
async function syncFolder(dir: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(dir, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? '';
}

/** Errors of the file system in words; all others as they are. */
function explain(error: unknown, path: string): unknown {
  if (
    error instanceof UserError ||
    !(error instanceof Error) ||
    (error as NodeJS.ErrnoException).syscall === undefined
  ) {
    return error;
  }
  const reasons: Record<string, string> = {
    EACCES: 'permission denied',
    EPERM: 'permission denied',
    EROFS: 'the file system is read-only',
    ENOSPC: 'the disk is full',
    EDQUOT: 'the disk quota is used up',
    ENOTDIR: 'a part of the path is not a folder',
    EEXIST: 'a part of the path is not a folder',
    ENAMETOOLONG: 'the name is too long',
  };
  const why = reasons[codeOf(error)] ?? error.message;
  return new UserError('output-unwritable', `${path} cannot be written: ${why}.`, { cause: error });
}
