/** bfloat16: the upper half of a float32, as bit patterns in Uint16Array. */

/** float32 → bfloat16, round to nearest, ties to even; NaN stays NaN (quiet), the largest numbers may become infinite. */
export function f32ToBf16(from: Float32Array, to: Uint16Array = new Uint16Array(from.length)): Uint16Array {
  if (to.length < from.length) throw new RangeError(`${to.length} elements cannot hold ${from.length} numbers`);
  const bits = new Uint32Array(from.buffer, from.byteOffset, from.length);
  for (let i = 0; i < bits.length; i++) {
    const b = bits[i] as number;
    if ((b & 0x7fffffff) > 0x7f800000) to[i] = (b >>> 16) | 0x40;
    else to[i] = (b + 0x7fff + ((b >>> 16) & 1)) >>> 16;
  }
  return to;
}

/** bfloat16 → float32, exact. */
export function bf16ToF32(from: Uint16Array, to: Float32Array = new Float32Array(from.length)): Float32Array {
  if (to.length < from.length) throw new RangeError(`${to.length} numbers cannot hold ${from.length} elements`);
  const bits = new Uint32Array(to.buffer, to.byteOffset, to.length);
  for (let i = 0; i < from.length; i++) bits[i] = (from[i] as number) << 16;
  return to;
}
