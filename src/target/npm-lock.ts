import { UserError } from '../errors.ts';

/** A package that a lock file pins. */
export interface LockedPackage {
  readonly name: string;
  readonly version: string;
  /** Hex digest of the package's archive, where the lock has one. */
  readonly hash: { readonly alg: 'SHA-512' | 'SHA-1'; readonly content: string } | undefined;
  readonly license: string | undefined;
}

interface LockEntry {
  readonly version?: string;
  readonly integrity?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly link?: boolean;
}

/** What `npm ci --omit=dev` installs from a package-lock.json (version 2 or 3), each name and version once, in order. */
export function lockedPackages(text: string): LockedPackage[] {
  const packages = (JSON.parse(text) as { readonly packages?: Readonly<Record<string, LockEntry>> }).packages;
  if (!packages) throw new UserError('bundle-lock', 'package-lock.json has no "packages": npm 7 or newer writes them.');
  const found = new Map<string, LockedPackage>();
  for (const [path, { version, integrity, license, dev, link }] of Object.entries(packages)) {
    const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
    if (path === '' || !version || dev || link) continue;
    found.set(`${name}@${version}`, { name, version, hash: hashOf(integrity), license });
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one);
}

function hashOf(integrity: string | undefined): LockedPackage['hash'] {
  const match = /(?:^|\s)(sha512|sha1)-([A-Za-z0-9+/]+=*)/.exec(integrity ?? '');
  if (!match?.[2]) return undefined;
  return {
    alg: match[1] === 'sha512' ? 'SHA-512' : 'SHA-1',
    content: Buffer.from(match[2], 'base64').toString('hex'),
  };
}
