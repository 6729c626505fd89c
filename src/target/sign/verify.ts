import { type KeyObject, X509Certificate } from 'node:crypto';
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../../errors.ts';
import type { Finding } from '../inspect.ts';
import { chainProblem } from './chain.ts';
import { isSignedBy } from './envelope.ts';
import { digestOf, keyHint } from './key.ts';
import { hashName, hashRange, listModel, type ModelPlace } from './resources.ts';
import { ignoredPaths } from './sign.ts';
import type { Resource, SignatureFile, SigningStatement } from './signature-file.ts';
import { parseSignature } from './signature-file.ts';

export interface VerifyOptions {
  /** Whom to trust: the signer's public key, or certificates that its chain ends at. */
  readonly key?: KeyObject;
  readonly roots?: readonly X509Certificate[];
  /** Where the signature is; it is no part of what it signs. */
  readonly signature: string;
  /** Files that the signature does not name are no finding. */
  readonly ignoreUnsigned?: boolean;
  /** Milliseconds since 1970, for the dates of certificates; default now. */
  readonly now?: number;
}

/**
 * Checks a signature (OpenSSF Model Signing 1.0, methods `key` and `certificate`) and every file that it names.
 * @param text the signature file
 * @returns what is wrong, with the file it is about; nothing when all is right
 * @throws UserError where the signature cannot be read or asks for what is not supported
 */
export async function verifyModel(path: string, text: string, options: VerifyOptions): Promise<Finding[]> {
  const { file, statement } = parseSignature(text, options.signature);
  const why = signerProblem(file, options);
  // Names and digests of a statement that nobody vouches for say nothing.
  if (why !== undefined) return [{ code: 'signature', message: `${options.signature}: ${why}.` }];
  return compareModel(path, statement, options);
}

function signerProblem(file: SignatureFile, { key, roots, now = Date.now() }: VerifyOptions): string | undefined {
  const { publicKey, x509CertificateChain: chain, certificate } = file.verificationMaterial;
  if (certificate !== undefined)
    return 'it was made without a key (Sigstore keyless), which takes the network; use the sigstore tools for it';
  if (key) {
    if (!publicKey) return 'it was made with a certificate; give the trusted certificate instead of a key';
    if (isSignedBy(file, key)) return undefined;
    const hint = publicKey.hint;
    return hint !== undefined && hint !== keyHint(key)
      ? `it was made with another key (${hint.slice(0, 16)}…) than the one given (${keyHint(key).slice(0, 16)}…)`
      : 'its signature is not right: it was changed, or made with another key';
  }
  if (!chain) return 'it was made with a key, not with a certificate; give the public key';
  const certificates = chain.certificates.map(({ rawBytes }) => readDer(rawBytes));
  const problem = chainProblem(certificates, roots ?? [], now);
  if (problem !== undefined) return problem;
  const leaf = certificates[0]?.publicKey;
  if (!leaf) return 'its chain is empty';
  digestOf(leaf, 'The certificate of the signer');
  return isSignedBy(file, leaf) ? undefined : 'its signature is not right: it was changed after signing';
}

function readDer(base64: string): X509Certificate {
  try {
    return new X509Certificate(Buffer.from(base64, 'base64'));
  } catch (cause) {
    throw new UserError('signature-file', 'The signature holds a certificate that cannot be read.', { cause });
  }
}

async function compareModel(path: string, statement: SigningStatement, options: VerifyOptions): Promise<Finding[]> {
  const { resources, serialization } = statement.predicate;
  const { method, hash_type, shard_size, allow_symlinks, ignore_paths = [] } = serialization;
  if (allow_symlinks)
    throw new UserError('signature-links', 'The signature follows links, which this program refuses to do.');
  if (method === 'shards' && shard_size === undefined)
    throw new UserError('signature-file', 'The signature is by shards, and does not say of what size.');
  const hash = hashName(hash_type);
  const place = await listModel(path, [...ignoredPaths(path, options.signature), ...ignore_paths]);
  const findings: Finding[] = place.links.map((link) => ({
    code: 'symlink',
    message: `${link} is a link or no plain file, which no signature covers.`,
    file: link,
  }));
  const there = new Set(place.files);
  const signed = new Map<string, Part[]>();
  for (const resource of resources) {
    const part = partOf(resource, method);
    if (resource.algorithm !== hash_type || !isInside(part.path))
      throw new UserError('signature-file', `The signature has a wrong entry "${resource.name}".`);
    signed.set(part.path, [...(signed.get(part.path) ?? []), part]);
  }
  for (const [name, parts] of signed) {
    const finding = there.has(name)
      ? await fileFinding(place, name, parts, hash)
      : { code: 'missing-file', message: `${name} is signed, and is missing.`, file: name };
    if (finding) findings.push(finding);
  }
  if (options.ignoreUnsigned) return findings;
  for (const name of place.files) {
    const empty = method === 'shards' && !signed.has(name) && (await lstat(join(place.root, name))).size === 0;
    if (!signed.has(name) && !empty)
      findings.push({ code: 'unsigned-file', message: `${name} is not in the signature.`, file: name });
  }
  return findings;
}

interface Part {
  readonly path: string;
  readonly digest: string;
  readonly range?: { readonly start: number; readonly end: number };
}

/** A file, or a byte range of one: `weights.bin:0:1000`. */
function partOf({ name, digest }: Resource, method: string): Part {
  const match = method === 'shards' ? /^(.+):(\d+):(\d+)$/.exec(name) : undefined;
  if (!match?.[1]) return { path: name, digest };
  return { path: match[1], digest, range: { start: Number(match[2]), end: Number(match[3]) } };
}

function isInside(path: string): boolean {
  return !path.startsWith('/') && !path.split('/').includes('..');
}

async function fileFinding(
  place: ModelPlace,
  name: string,
  parts: readonly Part[],
  hash: string,
): Promise<Finding | undefined> {
  const file = join(place.root, name);
  const changed = { code: 'signed-file-changed', message: `${name} is not the file that was signed.`, file: name };
  let covered = 0;
  for (const { digest, range } of parts) {
    if (range && range.start !== covered) return changed;
    covered = range?.end ?? 0;
    if ((await hashRange(file, hash, range)) !== digest) return changed;
  }
  const whole = parts.every(({ range }) => range === undefined) || (await lstat(file)).size === covered;
  return whole ? undefined : changed;
}
