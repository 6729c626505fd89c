/**
 * float32 numbers with so many bits of mantissa (of 23), to the nearest, ties to even; what is not finite stays. The relative error is at most 2^-(bits + 1).
 * The bytes that become zero are what a compressor gains from.
 */
export function roundMantissa(data: Float32Array, bits: number): Float32Array {
  const result = data.slice();
  const drop = 23 - bits;
  if (drop <= 0) return result;
  const words = new Uint32Array(result.buffer, result.byteOffset, result.length);
  const half = 2 ** (drop - 1);
  const mask = ~(2 ** drop - 1);
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as number;
    const magnitude = word & 0x7fffffff;
    if (magnitude >= 0x7f800000) continue;
    const odd = (magnitude >>> drop) & 1;
    const rounded = (magnitude + half - 1 + odd) & mask;
    // A carry out of the largest exponent would be infinity.
    words[i] = (word & 0x80000000) | (rounded >= 0x7f800000 ? magnitude & mask : rounded);
  }
  return result;
}

/** Whether there are at most so many different numbers in it. */
export function hasFewValues(data: Float32Array, most: number): boolean {
  const seen = new Set<number>();
  for (const x of data) {
    seen.add(x);
    if (seen.size > most) return false;
  }
  return true;
}
