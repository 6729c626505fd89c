import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { gzipOf, gzipPays } from '../../src/target/packed.ts';
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
  readonly pieces: readonly Piece[];
}

interface Piece {
  readonly url: string;
  readonly bytes: number;
  /** The same bytes as gzip, for hosts that compress nothing. */
  readonly packed?: { readonly url: string; readonly bytes: number };
}

interface Placed {
  readonly entry: FileEntry;
  readonly files: readonly BundleFile[];
}

/** A file put at `mlpack-model/<url>`, in pieces where it is larger than `limit`. */
export function place({ name, source, bytes, sha256 }: Artifact['files'][number], url: string, limit: number): Placed {
  const parts = partHashes(source, partBytes);
  const whole = sha256 === '' ? hashOfParts(parts) : sha256;
  const worthIt = gzipPays(source, bytes);
  const pieces: Piece[] = [];
  const files: BundleFile[] = [];
  const one = bytes <= limit;
  for (let start = 0; start === 0 || start < bytes; start += pieceBytes) {
    const end = one ? bytes : Math.min(bytes, start + pieceBytes);
    const piece = one ? url : `${url}.${String(pieces.length).padStart(3, '0')}`;
    files.push({ path: `mlpack-model/${piece}`, from: source, ...(!one && { start, end }) });
    const packed = worthIt ? gzipOf(source, start, end) : undefined;
    if (packed) files.push({ path: `mlpack-model/${piece}.gzip`, bytes: packed });
    pieces.push({
      url: piece,
      bytes: end - start,
      ...(packed && { packed: { url: `${piece}.gzip`, bytes: packed.length } }),
    });
    if (one) break;
  }
  return { entry: { name, bytes, sha256: whole, partBytes, parts, pieces }, files };
}

/** A file that was made here, put at `mlpack-model/<url>`. */
export function placeBytes(name: string, bytes: Uint8Array, url: string): Placed {
  const parts: string[] = [];
  for (let at = 0; at < bytes.length; at += partBytes) parts.push(sha256(bytes.subarray(at, at + partBytes)));
  const packed = gzipSync(bytes);
  const entry = {
    ...{ name, bytes: bytes.length, sha256: sha256(bytes), partBytes, parts },
    pieces: [{ url, bytes: bytes.length, packed: { url: `${url}.gzip`, bytes: packed.length } }],
  };
  return {
    entry,
    files: [
      { path: `mlpack-model/${url}`, bytes },
      { path: `mlpack-model/${url}.gzip`, bytes: packed },
    ],
  };
}

/** A name for a file that stands in nobody's manifest: the digest of its parts' digests. */
function hashOfParts(parts: readonly string[]): string {
  return sha256(parts.join());
}

function sha256(data: Uint8Array | string): string {
  return createHash('sha256').update(data).digest('hex');
}
