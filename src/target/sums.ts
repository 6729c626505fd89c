import { UserError } from '../errors.ts';

/** Every other file of a bundle with its SHA-256, in the form that `sha256sum -c SHA256SUMS` reads on any system. */
export const sumsName = 'SHA256SUMS';

interface Sum {
  readonly path: string;
  readonly sha256: string;
}

export function printSums(rows: readonly Sum[]): string {
  const sorted = [...rows].sort((a, b) => (a.path < b.path ? -1 : 1));
  return sorted.map(({ path, sha256 }) => `${sha256}  ${path}\n`).join('');
}

/** Path → digest. @throws UserError `bundle-sums` for a line that is none. */
export function parseSums(text: string): Map<string, string> {
  const sums = new Map<string, string>();
  for (const [at, line] of text.split('\n').entries()) {
    if (line === '') continue;
    const match = /^([0-9a-f]{64}) [ *](.+)$/.exec(line);
    if (!match?.[1] || !match[2] || sums.has(match[2]))
      throw new UserError('bundle-sums', `Line ${at + 1} of ${sumsName} is no digest with a path of its own.`);
    sums.set(match[2], match[1]);
  }
  return sums;
}
