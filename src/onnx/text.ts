/**
 * Text of protobuf strings, without loss: bytes that are not UTF-8 become lone surrogates U+DC80…U+DCFF (one for each
 * byte, the way of Python's `surrogateescape`, PEP 383) and turn into the same bytes again when written. So two names
 * that differ only in broken bytes stay two names.
 */

const loneSurrogate = /\p{Surrogate}/u;
const replacement = '\uFFFD';

export function decodeText(bytes: Buffer, start: number, end: number): string {
  const text = bytes.toString('utf8', start, end);
  if (!text.includes(replacement)) return text;
  return Buffer.byteLength(text) === end - start && Buffer.from(text).equals(bytes.subarray(start, end))
    ? text
    : decodeEscaped(bytes, start, end);
}

export function decodeBytes(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return decodeText(buffer, 0, buffer.length);
}

export function encodeText(text: string): Uint8Array {
  return loneSurrogate.test(text) ? encodeEscaped(text) : Buffer.from(text);
}

/** Text from a file, fit for a message: one line, no control characters, cut in the middle where it is very long. */
export function printable(text: string): string {
  const line = text.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Surrogate}\p{Bidi_Control}]/gu, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
  return line.length <= 800 ? line : `${line.slice(0, 400)} … ${line.slice(-300)}`;
}

/** Bytes that `encodeText` makes of it. */
export function textSize(text: string): number {
  return loneSurrogate.test(text) ? encodeEscaped(text).byteLength : Buffer.byteLength(text);
}

function decodeEscaped(bytes: Buffer, start: number, end: number): string {
  const pieces: string[] = [];
  for (let at = start; at < end; ) {
    const length = sequenceLength(bytes, at, end);
    if (length === 0) {
      pieces.push(String.fromCharCode(0xdc00 | (bytes[at] ?? 0)));
      at++;
      continue;
    }
    let stop = at + length;
    for (let next = length; stop < end && next > 0; stop += next) {
      next = sequenceLength(bytes, stop, end);
    }
    pieces.push(bytes.toString('utf8', at, stop));
    at = stop;
  }
  return pieces.join('');
}

/** Bytes of the well-formed UTF-8 sequence at `at` (Unicode 15, table 3-7), 0 when there is none. */
function sequenceLength(bytes: Uint8Array, at: number, end: number): number {
  const lead = bytes[at] ?? 0;
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (at + length > end) return 0;
  const second = bytes[at + 1] ?? 0;
  const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  if (second < low || second > high) return 0;
  for (let i = 2; i < length; i++) if (((bytes[at + i] ?? 0) & 0xc0) !== 0x80) return 0;
  return length;
}

function encodeEscaped(text: string): Uint8Array {
  const pieces: Uint8Array[] = [];
  for (const part of text.split(/([\uDC80-\uDCFF])/u)) {
    const code = part.length === 1 ? part.charCodeAt(0) : 0;
    pieces.push(code >= 0xdc80 && code <= 0xdcff ? Uint8Array.of(code & 0xff) : Buffer.from(part));
  }
  return Buffer.concat(pieces);
}
