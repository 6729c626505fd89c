import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeBytes, encodeText, printable } from '../../src/onnx/text.ts';

test('any bytes become text and the same bytes again', () => {
  const mixed = fc.array(
    fc.oneof(
      fc.uint8Array({ maxLength: 4 }),
      fc.string({ unit: 'grapheme', maxLength: 3 }).map((t) => new Uint8Array(Buffer.from(t))),
    ),
  );
  fc.assert(
    fc.property(mixed, (parts) => {
      const bytes = Buffer.concat(parts);
      expect(Buffer.from(encodeText(decodeBytes(bytes))).equals(bytes)).toBe(true);
    }),
    { numRuns: 3000 },
  );
});

test.each([
  ['well-formed text', [0x61, 0xc3, 0xa9, 0xf0, 0x9f, 0x98, 0x80], 'aé😀'],
  ['a byte order mark', [0xef, 0xbb, 0xbf, 0x61], '\uFEFFa'],
  ['a replacement character that was there', [0xef, 0xbf, 0xbd], '\uFFFD'],
  ['a lone continuation byte', [0x61, 0x80, 0x62], 'a\uDC80b'],
  ['an overlong slash', [0xc0, 0xaf], '\uDCC0\uDCAF'],
  ['an encoded surrogate', [0xed, 0xa0, 0x80], '\uDCED\uDCA0\uDC80'],
  ['a sequence cut at the end', [0xe2, 0x82], '\uDCE2\uDC82'],
])('%s', (_, bytes, text) => {
  expect(decodeBytes(Uint8Array.from(bytes))).toBe(text);
});

test('texts that differ only in broken bytes stay different', () => {
  expect(decodeBytes(Uint8Array.of(0x61, 0xff))).not.toBe(decodeBytes(Uint8Array.of(0x61, 0xfe)));
});

test('names in messages cannot write to the terminal', () => {
  expect(printable('a\u001b[31mred\nline\u202e\udc80 é😀')).toBe('a\\u001b[31mred\\u000aline\\u202e\\udc80 é😀');
  expect(printable('x'.repeat(1e6))).toHaveLength(703);
});
