import { createHash, type Hash } from 'node:crypto';
import {
  closeSync,
  fsync,
  fsyncSync,
  linkSync,
  lstatSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  write,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { UserError } from '../errors.ts';
import { makeFolder } from '../make-folder.ts';

interface WrittenFile {
  readonly bytes: number;
  /** Where it was asked for. */
  readonly sha256: string | undefined;
}

interface Pending {
  readonly path: string;
  readonly temp: string;
}

/**
 * Small pieces are gathered up to this size before they are written. So much is written at once, and files up to `syncBytes` synced, without
 * leaving the thread: a turn through libuv's pool and the promises around it cost more (fifteen of them, all that stood around writing a small
 * model: 4 of 120 ms).
 */
const gatherBytes = 1024 * 1024;
const syncBytes = 16 * gatherBytes;

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
  claim(path: string): void {
    const there = kindOf(path);
    if (there === 'folder') throw new UserError('output-exists', `${path} is a folder; give a file name.`);
    if (there === 'file' && !this.#force) {
      throw new UserError('output-exists', `${path} exists already; use --force to replace it, or another name.`);
    }
  }

  /** Writes and syncs the pieces under a temporary name. @param hashed whether their hash is taken on the way */
  async write(path: string, pieces: Iterable<Uint8Array>, hashed: boolean): Promise<WrittenFile> {
    const temp = nameBeside(path, 'tmp');
    try {
      await makeFolder(dirname(path));
      const file = openSync(temp, 'wx');
      this.#pending.push({ path, temp });
      try {
        const written = await fill(file, pieces, hashed ? createHash('sha256') : undefined, this.#signal);
        if (written.bytes <= syncBytes) fsyncSync(file);
        else await synced(file);
        return written;
      } finally {
        closeSync(file);
      }
    } catch (error) {
      throw explain(error, path);
    }
  }

  /** Gives all files their names. When one cannot be placed, those before it are taken back. */
  commit(): void {
    const placed: { readonly path: string; readonly backup: string | undefined }[] = [];
    let current = '';
    try {
      for (const { path, temp } of this.#pending) {
        current = path;
        this.claim(path);
        // A lone file is replaced in one step; of several, the old ones are kept until all new ones stand.
        const backup = this.#pending.length > 1 ? setAside(path) : undefined;
        placed.push({ path, backup });
        renameSync(temp, path);
      }
    } catch (error) {
      for (const { path, backup } of placed.reverse()) {
        if (!backup) {
          if (this.#pending.length > 1) rmSync(path, { force: true });
          continue;
        }
        renameSync(backup, path);
        // Where the old file was never replaced, both names are links to it, and rename leaves both (POSIX).
        rmSync(backup, { force: true });
      }
      throw explain(error, current);
    }
    for (const { backup } of placed) if (backup) rmSync(backup, { force: true });
    for (const dir of new Set(this.#pending.map(({ path }) => dirname(path)))) syncFolder(dir);
    this.#pending.length = 0;
  }

  /** Removes what was written and not committed. */
  discard(): void {
    for (const { temp } of this.#pending) rmSync(temp, { force: true });
    this.#pending.length = 0;
  }
}

/** A name beside `path` that nobody else has: whoever opens it makes sure. */
function nameBeside(path: string, ending: string): string {
  const some = Math.floor(Math.random() * 2 ** 48);
  return join(dirname(path), `.${basename(path)}.${some.toString(16).padStart(12, '0')}.${ending}`);
}

/** Large pieces are hashed while they are on their way to the disk, and the next one is made meanwhile. */
async function fill(
  file: number,
  pieces: Iterable<Uint8Array>,
  hash: Hash | undefined,
  signal?: AbortSignal,
): Promise<WrittenFile> {
  const gathered = Buffer.allocUnsafeSlow(gatherBytes);
  let used = 0;
  let bytes = 0;
  let underway: Promise<void> = Promise.resolve();
  const send = async (data: Uint8Array, position: number): Promise<void> => {
    for (let at = 0; at < data.byteLength; ) at += await writeAt(file, data.subarray(at), position + at);
  };
  const put = async (data: Uint8Array): Promise<void> => {
    await underway;
    signal?.throwIfAborted();
    underway = send(data, bytes);
    // A failure is met at the next `await underway`; until then it must not count as unhandled.
    underway.catch(() => undefined);
    hash?.update(data);
    bytes += data.byteLength;
  };
  const flush = async (): Promise<void> => {
    if (used === 0) return;
    await underway;
    signal?.throwIfAborted();
    for (let at = 0; at < used; ) at += writeSync(file, gathered, at, used - at, bytes + at);
    hash?.update(gathered.subarray(0, used));
    bytes += used;
    used = 0;
  };
  try {
    for (const piece of pieces) {
      if (used + piece.byteLength > gatherBytes) await flush();
      if (piece.byteLength > gatherBytes) {
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
  return { bytes, sha256: hash?.digest('hex') };
}

const writeAt = (file: number, data: Uint8Array, position: number): Promise<number> =>
  new Promise((done, fail) =>
    write(file, data, 0, data.byteLength, position, (error, written) => (error ? fail(error) : done(written))),
  );

const synced = (file: number): Promise<void> =>
  new Promise((done, fail) => fsync(file, (error) => (error ? fail(error) : done())));

/** Keeps an existing file under a second name. A link leaves the place filled; where there are none, it is moved. */
function setAside(path: string): string | undefined {
  if (kindOf(path) === 'none') return undefined;
  const backup = nameBeside(path, 'old');
  try {
    linkSync(path, backup);
  } catch (error) {
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EXDEV', 'EMLINK'].includes(codeOf(error))) throw error;
    renameSync(path, backup);
  }
  return backup;
}

function kindOf(path: string): 'none' | 'file' | 'folder' {
  try {
    if (!lstatSync(path, { throwIfNoEntry: false })) return 'none';
    // A link to a folder is a folder to whoever names it; a broken link is a place that is taken.
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() ? 'folder' : 'file';
  } catch (error) {
    throw explain(error, path);
  }
}

/** Makes the new names durable. Windows cannot sync folders. */
function syncFolder(dir: string): void {
  if (process.platform === 'win32') return;
  const folder = openSync(dir, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
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
