import { existsSync, lstatSync, mkdirSync, realpathSync, rmdirSync, type Stats, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative, sep } from 'node:path';
import { UserError } from '../errors.ts';
import { shellWord } from '../shell-word.ts';

/**
 * Refuses a place that cannot be written before minutes of work are spent on it. Asking for rights is not enough (root
 * has them all, a read-only or special file system has none to give), so a folder is made there and taken away again.
 * @param path where a file or folder is to stand; folders above it may be missing when `makesFolders`.
 * @param options.flag the flag that named the place, for the sentence (default --out).
 * @throws UserError that names the place and the reason.
 */
export async function requireWritable(
  path: string,
  shown: string,
  options: { readonly makesFolders: boolean; readonly flag?: string },
): Promise<void> {
  const flag = options.flag ?? '--out';
  const folder = nearestFolder(dirname(path), shown, flag);
  if (!options.makesFolders && folder !== dirname(path)) {
    throw new UserError(
      'out.folder',
      `the folder of "${shown}" does not exist; make it first, or choose another ${flag}.`,
    );
  }
  // As long as the names that files and folders have while they are written.
  const probe = join(folder, `.${basename(path)}.mlpack-probe-${process.pid}`);
  try {
    mkdirSync(probe);
    rmdirSync(probe);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (code === 'ENAMETOOLONG')
      throw new UserError('out.name', `the name "${basename(path)}" is too long; choose another ${flag}.`, {
        cause: error,
      });
    const why = reasons[code] ?? `the system says ${code}`;
    throw new UserError('out.unwritable', `nothing can be written in ${folder}: ${why}; choose another ${flag}.`, {
      cause: error,
    });
  }
}

/** What has the name, which may be a link to nowhere; undefined where nothing has, or can have it (`requireWritable` says why). */
export function entryAt(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'ELOOP'].includes(code)) return undefined;
    throw error;
  }
}

/** @throws UserError `path` where a folder stands where a file is to be written, which nothing replaces */
export function requireFileName(path: string, shown: string): void {
  if (existsSync(path) && statSync(path).isDirectory())
    throw new UserError('path', `"${shown}" is a folder where a file is expected; check the path.`);
}

/**
 * A folder is written beside and takes the place of the old one, as a whole: a volume of a container, say, has no place to give.
 * @throws UserError `out.mount`
 */
export function refuseMountPoint(path: string, shown: string): void {
  const here = entryAt(path);
  if (here?.isDirectory() && here.dev !== statOf(dirname(path))?.dev)
    throw new UserError(
      'out.mount',
      `"${shown}" is a mount point (a volume), which no folder can take the place of; give a folder in it, such as --out ${shellWord(join(shown, 'mlpack'))}.`,
    );
}

/** @throws UserError `out.exists` where a folder that is to be replaced holds one of these. */
export function refuseLosing(out: string, needed: readonly (string | undefined)[]): void {
  const kept = existsSync(out) ? needed.find((path) => path !== undefined && holds(out, path)) : undefined;
  if (kept === undefined) return;
  throw new UserError('out.exists', `"${out}" holds ${kept}, and --force would delete it; give another --out.`);
}

/**
 * A file that a command writes without --force takes the place of an earlier one of its kind, and of nothing else: not of the model that follows a
 * flag whose file was forgotten.
 * @param kind.start what each file of the kind begins with; an empty file counts as one
 * @throws UserError `out.exists`
 */
export async function refuseOther(
  path: string,
  shown: string,
  { start, what, flag }: { readonly start: string; readonly what: string; readonly flag: string },
): Promise<void> {
  const found = statOf(path);
  if (!found) return;
  if (found.isFile()) {
    const file = await open(path);
    try {
      const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(Buffer.byteLength(start)) });
      if (bytesRead === 0 || buffer.toString('utf8', 0, bytesRead) === start) return;
    } finally {
      await file.close();
    }
  }
  throw new UserError(
    'out.exists',
    `"${shown}" exists and is ${what}, so it is left alone; give ${flag} another file.`,
  );
}

function holds(folder: string, path: string): boolean {
  if (!existsSync(path)) return false;
  const inside = relative(realpathSync(folder), realpathSync(path));
  return inside !== '..' && !inside.startsWith(`..${sep}`) && !isAbsolute(inside);
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'permission is denied',
  EPERM: 'permission is denied',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  ENOENT: 'it is no place for files',
};

/** The folder itself, or the first above it that exists. */
function nearestFolder(folder: string, shown: string, flag: string): string {
  for (let at = folder; ; at = dirname(at)) {
    const found = statOf(at);
    if (found?.isDirectory()) return at;
    if (found) throw new UserError('out.folder', `"${shown}" cannot be made: ${at} is a file; choose another ${flag}.`);
    if (at === dirname(at)) return at;
  }
}

function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}
