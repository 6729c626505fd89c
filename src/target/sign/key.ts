import { createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { UserError } from '../../errors.ts';

/** Curve → digest, as the algorithm registry of OpenSSF Model Signing 1.0 pairs them. Ed25519 and RSA are not in it. */
const digests: Readonly<Record<string, string>> = { prime256v1: 'sha256', secp384r1: 'sha384', secp521r1: 'sha512' };

/** The digest that goes with a key. @throws UserError `key-type` for a key that the specification does not allow. */
export function digestOf(key: KeyObject, shown: string): string {
  const curve = key.asymmetricKeyDetails?.namedCurve;
  const digest = curve === undefined ? undefined : digests[curve];
  if (key.asymmetricKeyType === 'ec' && digest !== undefined) return digest;
  const kind = curve ? `${key.asymmetricKeyType} ${curve}` : key.asymmetricKeyType;
  throw new UserError(
    'key-type',
    `${shown} is a key of type ${kind}; OpenSSF Model Signing takes P-256, P-384 and P-521 (make one: openssl ecparam -name prime256v1 -genkey -noout -out key.pem).`,
  );
}

/**
 * Reads a private key (PEM, PKCS#8 or SEC 1).
 * @param passphrase for an encrypted key
 * @throws UserError `key-file` where it is none or the passphrase is wrong, `key-type`.
 */
export function readPrivateKey(pem: string, shown: string, passphrase?: string): KeyObject {
  if (pem.includes('PUBLIC KEY'))
    throw new UserError('key-file', `${shown} is a public key; signing takes the private one.`);
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: pem, format: 'pem', ...(passphrase !== undefined && { passphrase }) });
  } catch (cause) {
    const hint = pem.includes('ENCRYPTED')
      ? ' It is encrypted: give the right passphrase in MLPACK_KEY_PASSPHRASE.'
      : '';
    throw new UserError('key-file', `${shown} cannot be read as a private key in PEM form.${hint}`, { cause });
  }
  digestOf(key, shown);
  return key;
}

/** Reads a public key (PEM), also out of a private one. @throws UserError `key-file`, `key-type`. */
export function readPublicKey(pem: string, shown: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: pem, format: 'pem' });
  } catch (cause) {
    throw new UserError('key-file', `${shown} cannot be read as a public key in PEM form.`, { cause });
  }
  digestOf(key, shown);
  return key;
}

/** How signatures name the key that checks them: SHA-256 of its SPKI PEM text, in hex. */
export function keyHint(key: KeyObject): string {
  const pem = createPublicKey(key.export({ type: 'spki', format: 'pem' })).export({ type: 'spki', format: 'pem' });
  return createHash('sha256').update(pem).digest('hex');
}
