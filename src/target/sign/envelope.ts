import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { digestOf, keyHint } from './key.ts';
import type { SignatureFile } from './signature-file.ts';

export const payloadType = 'application/vnd.in-toto+json';
export const bundleMediaType = 'application/vnd.dev.sigstore.bundle.v0.3+json';

/** Pre-authentication encoding of DSSE: what is signed, so that a payload cannot be taken for one of another type. */
function encode(type: string, payload: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(`DSSEv1 ${Buffer.byteLength(type)} ${type} ${payload.length} `, 'utf8'), payload]);
}

/** A Sigstore bundle with the signed statement, in the `key` method of OpenSSF Model Signing 1.0. */
export function sealStatement(statement: unknown, key: KeyObject): SignatureFile {
  const payload = Buffer.from(JSON.stringify(statement), 'utf8');
  const sig = sign(digestOf(key, 'the key'), encode(payloadType, payload), key).toString('base64');
  return {
    mediaType: bundleMediaType,
    verificationMaterial: { publicKey: { hint: keyHint(createPublicKey(key)) }, tlogEntries: [] },
    dsseEnvelope: { payload: payload.toString('base64'), payloadType, signatures: [{ sig, keyid: '' }] },
  };
}

/** Whether one of the envelope's signatures is by `key` over its payload. */
export function isSignedBy({ dsseEnvelope }: SignatureFile, key: KeyObject): boolean {
  const signed = encode(dsseEnvelope.payloadType, Buffer.from(dsseEnvelope.payload, 'base64'));
  return dsseEnvelope.signatures.some(({ sig }) =>
    verify(digestOf(key, 'the key'), signed, key, Buffer.from(sig, 'base64')),
  );
}
