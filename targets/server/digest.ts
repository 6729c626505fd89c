import { createHash } from 'node:crypto';
import type { Artifact } from '../../src/target/target.ts';

/** Tells models apart: of all files, since weights of their own (external data) may change where the graph does not. Hex; as lib/model.mjs makes it. */
export function modelDigest({ files }: Artifact): string {
  const digests = files.map(({ sha256 }) => sha256);
  return digests.length === 1 ? (digests[0] ?? '') : createHash('sha256').update(digests.join()).digest('hex');
}
