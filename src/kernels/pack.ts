/** Sub-byte codes in bytes, low bits first, as ONNX `raw_data` of 2- and 4-bit types and MatMulNBits have them. */

export type CodeBits = 2 | 4 | 8;

/** Packs codes (0 … 2^bits − 1, or the two's complement byte of a signed code); the last byte is padded with zero bits. */
export function packCodes(codes: Uint8Array, bits: CodeBits): Uint8Array {
  const perByte = 8 / bits;
  const mask = (1 << bits) - 1;
  const packed = new Uint8Array(Math.ceil(codes.length / perByte));
  for (let i = 0; i < codes.length; i++) {
    const at = Math.floor(i / perByte);
    packed[at] = (packed[at] as number) | (((codes[i] as number) & mask) << ((i % perByte) * bits));
  }
  return packed;
}

/** The first `count` codes, unsigned. */
export function unpackCodes(packed: Uint8Array, bits: CodeBits, count: number): Uint8Array {
  const perByte = 8 / bits;
  const mask = (1 << bits) - 1;
  const codes = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    codes[i] = ((packed[Math.floor(i / perByte)] as number) >>> ((i % perByte) * bits)) & mask;
  }
  return codes;
}
