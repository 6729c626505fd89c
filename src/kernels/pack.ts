/** Sub-byte codes in bytes, low bits first, as ONNX `raw_data` of 2- and 4-bit types and MatMulNBits have them. */

export type CodeBits = 2 | 4 | 8;

/** Packs codes (0 … 2^bits − 1, or the two's complement byte of a signed code); the last byte is padded with zero bits. */
export function packCodes(codes: Uint8Array, bits: CodeBits): Uint8Array {
  if (bits === 8) return codes.slice();
  const { length } = codes;
  if (bits === 4) {
    const packed = new Uint8Array(Math.ceil(length / 2));
    // Reads behind the end give undefined, which counts as 0 in integer arithmetic.
    for (let i = 0; i < length; i += 2) {
      packed[i >> 1] = ((codes[i] as number) & 15) | ((codes[i + 1] as number) << 4);
    }
    return packed;
  }
  const packed = new Uint8Array(Math.ceil(length / 4));
  for (let i = 0; i < length; i++) {
    packed[i >> 2] = (packed[i >> 2] as number) | (((codes[i] as number) & 3) << ((i & 3) * 2));
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
