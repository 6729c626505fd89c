import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { UserError } from '../../errors.ts';
import type { Resource } from './signature-file.ts';

/** Left out of every signature by the specification, at the root only. */
const alwaysIgnored: readonly string[] = ['.git', '.gitattributes', '.github', '.gitignore'];

/** Where the files of a model are: a folder, or one file. */
export interface ModelPlace {
  readonly root: string;
  /** Paths relative to the root, `/` between parts, in code point order. */
  readonly files: readonly string[];
  readonly links: readonly string[];
}

/** @param ignored paths relative to the root; each leaves out itself and what is below it */
export async function listModel(path: string, ignored: readonly string[]): Promise<ModelPlace> {
  const info = await lstat(path);
  if (info.isFile()) return { root: join(path, '..'), files: [basename(path)], links: [] };
  if (info.isSymbolicLink())
    throw new UserError('sign-place', `${path} is a link, and no signature covers links; give what it points to.`);
  if (!info.isDirectory()) throw new UserError('sign-place', `${path} is neither a file nor a folder.`);
  const skip = new Set([...alwaysIgnored, ...ignored]);
  const files: string[] = [];
  const links: string[] = [];
  const walk = async (under: string): Promise<void> => {
    for (const entry of await readdir(join(path, under), { withFileTypes: true })) {
      const name = under === '' ? entry.name : `${under}/${entry.name}`;
      if (skip.has(name)) continue;
      if (entry.isDirectory()) await walk(name);
      else if (entry.isFile()) files.push(name);
      else links.push(name);
    }
  };
  await walk('');
  return { root: path, files: files.sort(byCodePoint), links: links.sort(byCodePoint) };
}

/** Order of code points, which UTF-8 bytes keep and UTF-16 units do not. */
export function byCodePoint(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a, 'utf8'), Buffer.from(b, 'utf8'));
}

/** The path list that a signature records as left out. */
export function recordedIgnores(ignored: readonly string[]): string[] {
  return [...new Set([...alwaysIgnored, ...ignored])].sort(byCodePoint);
}

const algorithms: Readonly<Record<string, string>> = { sha256: 'sha256', blake2b: 'blake2b512' };

/** Node's name of a hash of the specification. @throws UserError for one that is not built in (BLAKE3). */
export function hashName(type: string): string {
  const name = algorithms[type];
  if (name === undefined)
    throw new UserError(
      'signature-hash',
      `The signature uses the hash ${type}; this program has ${Object.keys(algorithms).join(' and ')}.`,
    );
  return name;
}

/** Hex digest of a file, or of its bytes from `start` up to `end` (exclusive). */
export async function hashRange(file: string, hash: string, range?: { start: number; end: number }): Promise<string> {
  const digest = createHash(hash);
  if (range && range.end <= range.start) return digest.digest('hex');
  const part = range && { start: range.start, end: range.end - 1 };
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20, ...part }))
    digest.update(chunk as Uint8Array);
  return digest.digest('hex');
}

/** SHA-256 over the raw digests in the order of the names: one number for the whole model. */
export function rootDigest(resources: readonly Resource[]): string {
  const hash = createHash('sha256');
  for (const { digest } of resources) hash.update(Buffer.from(digest, 'hex'));
  return hash.digest('hex');
}
