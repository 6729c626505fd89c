import type { X509Certificate } from 'node:crypto';

/** An element of DER. */
interface Element {
  readonly tag: number;
  readonly content: Uint8Array;
}

/** The elements that follow each other in `bytes`. Node.js has parsed the certificate: lengths are right. */
function* elements(bytes: Uint8Array): Generator<Element> {
  for (let at = 0; at + 2 <= bytes.length; ) {
    const tag = bytes[at] as number;
    let length = bytes[at + 1] as number;
    at += 2;
    if (length >= 0x80) {
      const end = at + (length & 0x7f);
      for (length = 0; at < end; at++) length = length * 256 + (bytes[at] ?? 0);
    }
    yield { tag, content: bytes.subarray(at, at + length) };
    at += length;
  }
}

const [integer, octets, objectId, sequence, extensions] = [0x02, 0x04, 0x06, 0x30, 0xa3];
/** 2.5.29.19 */
const basicConstraints = '551d13';

function within(bytes: Uint8Array, tag: number): Uint8Array {
  for (const { tag: found, content } of elements(bytes)) if (found === tag) return content;
  return new Uint8Array(0);
}

/**
 * How many certificate authorities may stand between the one of this certificate and what is signed in the end (pathLenConstraint, RFC 5280
 * §4.2.1.9), which Node.js reads past; Infinity where it says nothing.
 */
export function pathLength({ raw }: X509Certificate): number {
  const signed = within(within(raw, sequence), sequence);
  for (const { content } of elements(within(within(signed, extensions), sequence))) {
    if (Buffer.from(within(content, objectId)).toString('hex') !== basicConstraints) continue;
    const most = within(within(within(content, octets), sequence), integer);
    return most.length === 0 ? Number.POSITIVE_INFINITY : most.reduce((number, byte) => number * 256 + byte, 0);
  }
  return Number.POSITIVE_INFINITY;
}
