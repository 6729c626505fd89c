/** What a channel says, believed only when one of the device's keys has signed it. */

import { createHash, createPublicKey, verify } from 'node:crypto';
import { Refused } from './refused.mjs';
import { isVersion } from './versions.mjs';

const payloadType = 'application/vnd.in-toto+json';
const predicateType = 'urn:mlpack:channel:1';
const digests = { prime256v1: 'sha256', secp384r1: 'sha384', secp521r1: 'sha512' };

/** Public keys of a PEM text with one or more blocks. */
export function readKeys(pem) {
  const blocks = pem.match(/-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----/g) ?? [];
  const keys = blocks.map((block) => createPublicKey(block));
  if (keys.length === 0) throw new Error('there is no public key in PEM form');
  for (const key of keys) {
    if (!(key.asymmetricKeyDetails?.namedCurve in digests)) throw new Error('keys are of type P-256, P-384 or P-521');
  }
  return keys;
}

/** Pre-authentication encoding of DSSE. */
function encode(payload) {
  const head = `DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.length} `;
  return Buffer.concat([Buffer.from(head, 'utf8'), payload]);
}

function signedBy(key, bytes, sig) {
  return verify(digests[key.asymmetricKeyDetails.namedCurve], bytes, key, sig);
}

function parse(text, what) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Refused('format', `${what} is not JSON: ${error.message}`);
  }
}

/** The payload of a signed channel file. @param {string} text @throws Refused */
export function openEnvelope(text, keys) {
  const envelope = parse(text, 'the channel')?.dsseEnvelope;
  const { payload, payloadType: type, signatures } = envelope ?? {};
  if (typeof payload !== 'string' || type !== payloadType || !Array.isArray(signatures))
    throw new Refused('format', 'the channel is no signed statement');
  const bytes = Buffer.from(payload, 'base64');
  const signed = encode(bytes);
  const good = signatures.some(
    ({ sig }) => typeof sig === 'string' && keys.some((key) => signedBy(key, signed, Buffer.from(sig, 'base64'))),
  );
  if (!good) throw new Refused('signature', 'the channel is not signed by a key that this device trusts');
  return bytes.toString('utf8');
}

/** A path inside a slot that an update may write. */
export function isSafePath(path) {
  if (typeof path !== 'string' || path.length > 1024 || /[\\:\0]/.test(path)) return false;
  const parts = path.split('/');
  return (
    parts.every((part) => part !== '' && part !== '.' && part !== '..') &&
    parts[0] !== 'node_modules' &&
    path !== '.release.json'
  );
}

function isFile(row) {
  return (
    isSafePath(row?.path) &&
    Number.isSafeInteger(row.bytes) &&
    row.bytes >= 0 &&
    typeof row.sha256 === 'string' &&
    /^[0-9a-f]{64}$/.test(row.sha256)
  );
}

/**
 * The statement of a channel, everything checked that it says by itself.
 * @returns {{ name, channel, sequence, issued, expires, version, manifest, percent, requires, replaces: string[], files, digest }}
 * @throws Refused
 */
export function readStatement(payload, channel) {
  const statement = parse(payload, 'the statement');
  const predicate = statement?.predicate;
  if (statement?.predicateType !== predicateType || typeof predicate !== 'object' || predicate === null)
    throw new Refused('format', 'what was signed is not about a channel');
  const { sequence, issued, expires, version, rollout, requires = {}, replaces = [], files } = predicate;
  if (predicate.channel !== channel)
    throw new Refused(
      'channel',
      `the statement is for channel "${predicate.channel}", and this device follows "${channel}"`,
    );
  const manifest = statement.subject?.[0]?.digest?.sha256;
  const times = [issued, expires].map((text) => Date.parse(text));
  const sound =
    Number.isSafeInteger(sequence) &&
    sequence >= 1 &&
    times.every(Number.isFinite) &&
    isVersion(version) &&
    typeof rollout?.percent === 'number' &&
    Object.values(requires).every(isVersion) &&
    Array.isArray(replaces) &&
    replaces.every(isVersion) &&
    Array.isArray(files) &&
    files.length > 0 &&
    files.length <= 10_000 &&
    files.every(isFile) &&
    new Set(files.map(({ path }) => path)).size === files.length &&
    files.some(({ path, sha256 }) => path === 'mlpack.json' && sha256 === manifest);
  if (!sound) throw new Refused('format', 'the statement of the channel is not as it must be');
  return {
    name: statement.subject[0].name,
    channel,
    sequence,
    issued: times[0],
    expires: times[1],
    version,
    manifest,
    percent: rollout.percent,
    requires,
    replaces,
    files: files.map(({ path, bytes, sha256 }) => ({ path, bytes, sha256 })),
    digest: createHash('sha256').update(payload).digest('hex'),
  };
}
