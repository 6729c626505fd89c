import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync, realpathSync, type Stats, statSync } from 'node:fs';
import { isAbsolute, join, relative, sep } from 'node:path';
import { UserError } from '../errors.ts';
import { type Limits, limitError } from './limits.ts';
import type { Message } from './message.ts';

/** Bytes `[offset, offset + length)` of an external data file. */
export interface ExternalRange {
  readonly file: ExternalFile;
  readonly offset: number;
  readonly length: number;
}

const pieceBytes = 4 * 1024 * 1024;

/**
 * A checked data file beside a model. Opened for each read and closed again; that it is still the file that was checked
 * is looked at each time, so a file replaced in between is an error and never wrong weights.
 */
export class ExternalFile {
  readonly location: string;
  readonly path: string;
  readonly size: number;
  readonly #seen: Stats;
  constructor(location: string, path: string, stats: Stats) {
    this.location = location;
    this.path = path;
    this.size = stats.size;
    this.#seen = stats;
  }

  /** Reads the range whole. */
  read(offset: number, length: number): Uint8Array {
    return this.#open((fd) => this.#fill(fd, new Uint8Array(length), offset));
  }

  /** The range in pieces of a few megabytes, each its own memory. */
  *pieces(offset: number, length: number): Generator<Uint8Array> {
    const fd = this.#openChecked();
    try {
      for (let at = 0; at < length; at += pieceBytes) {
        yield this.#fill(fd, new Uint8Array(Math.min(pieceBytes, length - at)), offset + at);
      }
    } finally {
      closeSync(fd);
    }
  }

  #open<T>(use: (fd: number) => T): T {
    const fd = this.#openChecked();
    try {
      return use(fd);
    } finally {
      closeSync(fd);
    }
  }
  #openChecked(): number {
    let fd: number;
    try {
      fd = openSync(this.path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
    } catch (error) {
      throw new UserError('external-data-unreadable', `${this.path} cannot be read: ${(error as Error).message}.`, {
        cause: error,
      });
    }
    const now = fstatSync(fd);
    const seen = this.#seen;
    if (now.ino !== seen.ino || now.dev !== seen.dev || now.size !== seen.size || now.mtimeMs !== seen.mtimeMs) {
      closeSync(fd);
      throw new UserError(
        'external-data-changed',
        `${this.path} was changed or replaced after the model was read; read the model again.`,
      );
    }
    return fd;
  }
  #fill(fd: number, target: Uint8Array, position: number): Uint8Array {
    for (let at = 0; at < target.byteLength; ) {
      const got = readSync(fd, target, at, Math.min(target.byteLength - at, 2 ** 30), position + at);
      if (got === 0) throw new UserError('external-data-changed', `${this.path} ends before byte ${position + at}.`);
      at += got;
    }
    return target;
  }
}

export interface FolderOptions {
  /**
   * A second folder in which data files may really lie: that of the model file itself where the model was opened through
   * a symbolic link (the layout of the Hugging Face cache; ONNX Runtime allows the same).
   */
  readonly alsoInside?: string | undefined;
  /** Compares files with their `checksum` entries (SHA-1 of the whole file), which means reading them once more. */
  readonly checksums?: boolean | undefined;
}

/** The folder of a model: finds and checks the data files that its tensors name. */
export class ExternalFolder {
  readonly #dir: string;
  readonly #limits: Limits;
  readonly #options: FolderOptions;
  readonly #files = new Map<string, ExternalFile>();
  readonly #digests = new Map<ExternalFile, string>();

  constructor(dir: string, limits: Limits, options: FolderOptions = {}) {
    this.#dir = dir;
    this.#limits = limits;
    this.#options = options;
  }

  /** @throws UserError naming the tensor when the range is not one this model may read */
  range(entries: readonly Message<'StringStringEntryProto'>[], byteLength: number, label: string): ExternalRange {
    const file = this.#file(externalLocation(entries, label), label);
    const offset = integer(entries, 'offset', label) ?? 0;
    const length = integer(entries, 'length', label) ?? Math.min(byteLength, Math.max(0, file.size - offset));
    if (length !== byteLength) {
      throw new UserError(
        'external-data-size',
        `${label} takes ${byteLength} bytes, but names ${length} bytes of "${file.location}".`,
      );
    }
    if (offset + length > file.size) {
      throw new UserError(
        'external-data-size',
        `${label} names bytes ${offset} to ${offset + length} of "${file.location}", which has only ${file.size}: ` +
          'the data file is cut short or belongs to another model.',
      );
    }
    const checksum = this.#options.checksums ? last(entries, 'checksum') : undefined;
    if (checksum !== undefined) this.#compare(file, checksum, label);
    return { file, offset, length };
  }

  #compare(file: ExternalFile, checksum: string, label: string): void {
    let digest = this.#digests.get(file);
    if (digest === undefined) {
      const hash = createHash('sha1');
      for (const piece of file.pieces(0, file.size)) hash.update(piece);
      digest = hash.digest('hex');
      this.#digests.set(file, digest);
    }
    if (checksum.toLowerCase() === digest) return;
    throw new UserError(
      'external-data-checksum',
      `${label} expects "${file.location}" to have the SHA-1 checksum ${checksum}, and it has ${digest}: it is damaged or another file.`,
    );
  }

  #file(location: string, label: string): ExternalFile {
    const known = this.#files.get(location);
    if (known) return known;
    if (this.#files.size >= this.#limits.externalFiles) {
      throw limitError(this.#limits, 'externalFiles', label, this.#files.size + 1);
    }
    const file = checkFile(this.#dir, location, label, this.#options.alsoInside);
    this.#files.set(location, file);
    return file;
  }
}

/** The `location` entry, refused unless it is a plain relative path downwards, on every operating system. */
function externalLocation(entries: readonly Message<'StringStringEntryProto'>[], label: string): string {
  const location = last(entries, 'location') ?? '';
  const refuse = (why: string): never => {
    throw new UserError(
      'external-data-path',
      `${label} keeps its data in "${location}": ${why}. Data files must lie in the model's own folder or below it.`,
    );
  };
  if (location === '') refuse('no location is given');
  if (location.includes('\0')) refuse('the path has a zero byte');
  if (/^[/\\]/.test(location) || /^[A-Za-z]:/.test(location)) refuse('the path is absolute');
  if (location.split(/[/\\]/).includes('..')) refuse('the path goes up with ".."');
  return location;
}

function checkFile(dir: string, location: string, label: string, alsoInside: string | undefined): ExternalFile {
  const path = join(dir, location);
  let real: string;
  let stats: Stats;
  try {
    real = realpathSync(path);
    stats = statSync(real);
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new UserError(
      missing ? 'external-data-missing' : 'external-data-unreadable',
      missing
        ? `${label} keeps its data in "${location}", and ${path} does not exist; put the data file beside the model.`
        : `${label} keeps its data in ${path}, which cannot be read: ${(error as Error).message}.`,
      { cause: error },
    );
  }
  const roots = [dir, ...(alsoInside === undefined ? [] : [alsoInside])];
  if (!roots.some((root) => isInside(realpathSync(root), real))) {
    throw new UserError(
      'external-data-path',
      `${label} keeps its data in "${location}", a symbolic link that leaves the model's folder (to ${real}); put a real copy there.`,
    );
  }
  if (!stats.isFile()) {
    throw new UserError('external-data-path', `${label} keeps its data in ${path}, which is not a regular file.`);
  }
  if (stats.nlink > 1) {
    throw new UserError(
      'external-data-path',
      `${label} keeps its data in ${path}, a file with ${stats.nlink} hard links: it may be a file from outside the ` +
        "model's folder, and ONNX's own tools refuse it too. Put a real copy there (cp --no-preserve=links).",
    );
  }
  return new ExternalFile(location, real, stats);
}

function isInside(root: string, path: string): boolean {
  const way = relative(root, path);
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

function last(entries: readonly Message<'StringStringEntryProto'>[], key: string): string | undefined {
  return entries.findLast((entry) => entry.key === key)?.value;
}

function integer(
  entries: readonly Message<'StringStringEntryProto'>[],
  key: string,
  label: string,
): number | undefined {
  const text = last(entries, key);
  if (text === undefined) return undefined;
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) {
    throw new UserError(
      'external-data-size',
      `${label} has the ${key} "${text}" for its external data, which is no byte count.`,
    );
  }
  return value;
}
