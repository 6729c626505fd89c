import type { KeyObject } from 'node:crypto';
import { existsSync } from 'node:fs';
import { basename, join, posix, relative, resolve, sep } from 'node:path';
import { UserError } from '../../errors.ts';
import { installedFolder, manifestName } from '../manifest.ts';
import { sealStatement } from './envelope.ts';
import { hashRange, listModel, recordedIgnores, rootDigest } from './resources.ts';
import type { Resource, SignatureFile, SigningStatement } from './signature-file.ts';

export const signatureName = 'model.sig';

/** What a signature leaves out: itself, what installing a bundle makes, and what the caller names. */
export function ignoredPaths(path: string, signature: string, more: readonly string[] = []): string[] {
  const own = relative(resolve(path), resolve(signature)).split(sep).join('/');
  const inside = own !== '' && !own.startsWith('../') && own !== '..';
  const installed = existsSync(join(path, manifestName)) ? [installedFolder] : [];
  return [...(inside ? [own] : []), ...installed, ...more];
}

export interface Signed {
  readonly file: SignatureFile;
  readonly files: number;
  readonly root: string;
}

/**
 * Signs a bundle, any other folder, or one file after OpenSSF Model Signing 1.0 (`files`, SHA-256). Nothing is written.
 * @param signature where the signature will be; it does not sign itself
 * @throws UserError `sign-link` for a link inside, `sign-empty`, `sign-ignore`.
 */
export async function signModel(
  path: string,
  key: KeyObject,
  { signature, ignore = [] }: { readonly signature: string; readonly ignore?: readonly string[] },
): Promise<Signed> {
  const ignored = ignoredPaths(path, signature, ignore.map(ignoredPath));
  const place = await listModel(path, ignored);
  const [link] = place.links;
  if (link !== undefined)
    throw new UserError(
      'sign-link',
      `${link} in ${path} is a link or no plain file; a signature covers real files only.`,
    );
  if (place.files.length === 0) throw new UserError('sign-empty', `${path} holds no file to sign.`);
  const resources: Resource[] = [];
  for (const name of place.files) {
    const digest = await hashRange(join(place.root, name), 'sha256');
    resources.push({ name, digest, algorithm: 'sha256' });
  }
  const root = rootDigest(resources);
  const statement: SigningStatement = {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: basename(resolve(path)), digest: { sha256: root } }],
    predicateType: 'https://model_signing/signature/v1.0',
    predicate: {
      resources,
      serialization: {
        method: 'files',
        hash_type: 'sha256',
        allow_symlinks: false,
        ignore_paths: recordedIgnores(ignored),
      },
    },
  };
  return { file: sealStatement(statement, key), files: resources.length, root };
}

/** The path as files are named in the statement: `./cache/` is `cache`. */
function ignoredPath(path: string): string {
  const plain = posix.normalize(path.split(sep).join('/')).replace(/\/$/, '');
  if (/[*?[]/.test(plain) || plain.startsWith('/') || ['', '.', '..'].includes(plain) || plain.startsWith('../'))
    throw new UserError('sign-ignore', `--ignore "${path}" must be a path inside the folder, without patterns.`);
  return plain;
}
