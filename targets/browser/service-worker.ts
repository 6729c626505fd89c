import { createHash } from 'node:crypto';
import { literalText } from '../../src/target/literal.ts';
import { partHashes } from '../../src/target/parts.ts';
import type { BundleFile } from '../../src/target/target.ts';

/**
 * sw.js, whose version is the digest of every file that it may keep: a new deployment is a new version, and what the old one kept is
 * dropped as a whole.
 */
export function serviceWorker(files: readonly BundleFile[]): string {
  const hash = createHash('sha256');
  for (const file of files) {
    hash.update(`${file.path}\n`);
    if ('bytes' in file) hash.update(file.bytes);
    else if ('from' in file) hash.update(partHashes(file.from, 1 << 20).join());
  }
  return literalText('browser', 'sw.js').replace("'version'", `'${hash.digest('hex').slice(0, 16)}'`);
}
