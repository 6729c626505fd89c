/**
 * Numbers, strings and identifiers of the text form, both ways.
 */

const utf8 = new TextEncoder();

/**
 * The shortest decimal that reads back as the same number, always recognizable as a float (`1.0`, `1e-7`, `-inf`, `nan`).
 * `single`: the number is a float32, so fewer digits are enough.
 */
export function formatFloat(value: number, single: boolean): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  const text = Object.is(value, -0) ? '-0' : single ? shortestSingle(value) : String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

function shortestSingle(value: number): string {
  const rounded = Math.fround(value);
  if (!Number.isFinite(rounded)) return String(value);
  for (let digits = 6; digits < 9; digits++) {
    const candidate = Number(rounded.toPrecision(digits));
    if (Math.fround(candidate) === rounded) return String(candidate);
  }
  return String(Number(rounded.toPrecision(9)));
}

/** What a terminal obeys, or turns the text around it by. */
const unseen = /[\p{Cc}\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/u;

/** A double-quoted string with `\n \t \r \" \\` and `\xHH` for the bytes of other control characters and marks of direction. */
export function quote(text: string): string {
  return quoteBytes(utf8.encode(text));
}

/** Like `quote`, for bytes that need not be UTF-8: what is not stands as `\xHH`. */
export function quoteBytes(bytes: Uint8Array): string {
  let out = '"';
  for (let at = 0; at < bytes.length; ) {
    const length = utf8Length(bytes, at);
    const byte = bytes[at] as number;
    if (length === 0 || byte < 0x20 || byte === 0x7f) {
      out += named[byte] ?? hexEscape(byte);
      at++;
    } else if (length === 1) {
      out += byte === 0x22 ? '\\"' : byte === 0x5c ? '\\\\' : String.fromCharCode(byte);
      at++;
    } else {
      const sequence = bytes.subarray(at, at + length);
      const character = decoder.decode(sequence);
      out += unseen.test(character) ? Array.from(sequence, hexEscape).join('') : character;
      at += length;
    }
  }
  return `${out}"`;
}

const hexEscape = (byte: number): string => `\\x${byte.toString(16).padStart(2, '0')}`;
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const named: Record<number, string> = { 10: '\\n', 9: '\\t', 13: '\\r' };
const unnamed: Record<string, number> = { n: 10, t: 9, r: 13, '"': 0x22, '\\': 0x5c };

/** Bytes of the well-formed UTF-8 sequence at `at`; 0 when there is none. */
function utf8Length(bytes: Uint8Array, at: number): number {
  const lead = bytes[at] as number;
  const length =
    lead < 0x80
      ? 1
      : lead >= 0xc2 && lead < 0xe0
        ? 2
        : lead >= 0xe0 && lead < 0xf0
          ? 3
          : lead >= 0xf0 && lead < 0xf5
            ? 4
            : 0;
  if (length < 2) return length;
  try {
    strictDecoder.decode(bytes.subarray(at, at + length));
    return length;
  } catch {
    return 0;
  }
}

/** The bytes between the quotes, escapes undone. `onError` gets the offset of an escape that does not exist. */
export function unquote(body: string, onError: (offset: number) => never): Uint8Array {
  if (!body.includes('\\')) return utf8.encode(body);
  const parts: number[] = [];
  for (let at = 0; at < body.length; ) {
    const slash = body.indexOf('\\', at);
    const end = slash < 0 ? body.length : slash;
    for (const byte of utf8.encode(body.slice(at, end))) parts.push(byte);
    if (slash < 0) break;
    const kind = body.charAt(slash + 1);
    const hex = body.slice(slash + 2, slash + 4);
    const byte = unnamed[kind];
    if (byte !== undefined) {
      parts.push(byte);
      at = slash + 2;
    } else if (kind === 'x' && /^[0-9a-fA-F]{2}$/.test(hex)) {
      parts.push(Number.parseInt(hex, 16));
      at = slash + 4;
    } else {
      onError(slash);
    }
  }
  return Uint8Array.from(parts);
}

export function textOf(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}
