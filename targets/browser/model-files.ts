import { createHash } from 'node:crypto';
import { partHashes } from '../../src/target/parts.ts';
import type { Artifact, BundleFile } from '../../src/target/target.ts';

/** Parts in which files are verified, kept and fetched again: what a lost connection costs at most. */
export const partBytes = 4 * 2 ** 20;

/** Whole parts that stay under Cloudflare Pages' limit of 25 MiB a file. */
export const pieceBytes = 6 * partBytes;

/** A file as the loader fetches it. */
export interface FileEntry {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly partBytes: number;
  /** SHA-256 of each part. */
  readonly parts: readonly string[];
  /** Where its bytes lie, relative to the folder of the loader: one address, or several in their order. */
  readonly pieces: readonly { readonly url: string; readonly bytes: number }[];
}

interface Placed {
  readonly entry: FileEntry;
  readonly files: readonly BundleFile[];
}

/** A file put at `mlpack-model/<url>`, in pieces where it is larger than `limit`. */
export function place({ name, source, bytes, sha256 }: Artifact['files'][number], url: string, limit: number): Placed {
  const parts = partHashes(source, partBytes);
  const whole = sha256 === '' ? hashOfParts(parts) : sha256;
  if (bytes <= limit) {
    const entry = { name, bytes, sha256: whole, partBytes, parts, pieces: [{ url, bytes }] };
    return { entry, files: [{ path: `mlpack-model/${url}`, from: source }] };
  }
  const pieces: { url: string; bytes: number }[] = [];
  const files: BundleFile[] = [];
  for (let start = 0; start < bytes; start += pieceBytes) {
    const end = Math.min(bytes, start + pieceBytes);
    const piece = `${url}.${String(pieces.length).padStart(3, '0')}`;
    pieces.push({ url: piece, bytes: end - start });
    files.push({ path: `mlpack-model/${piece}`, from: source, start, end });
  }
  return { entry: { name, bytes, sha256: whole, partBytes, parts, pieces }, files };
}

/** A name for a file that stands in nobody's manifest: the digest of its parts' digests. */
function hashOfParts(parts: readonly string[]): string {
  return createHash('sha256').update(parts.join()).digest('hex');
}
