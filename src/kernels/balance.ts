import type { IntRange } from './quantize.ts';

/**
 * Rounds some weights the other way so that the rounding errors within each window (one kernel over one input channel) add up to
 * at most half a step. With nearest rounding that sum grows with the window; where neighbouring inputs are alike, as in images,
 * it shifts the whole output channel. Each weight stays less than one step from its exact value. (The first stage of SQuant:
 * Guo et al., On-the-fly data-free quantization via diagonal Hessian approximation, ICLR 2022. Its second stage, over input
 * channels, gained nothing on the models we measured.)
 *
 * @param data [channels, …, window], in the layout of `codes`
 * @param codes int8 as two's complement bytes, zero point 0; changed in place
 * @param scales one per channel, or one for all
 */
export function balanceWindows(
  data: Float32Array,
  codes: Uint8Array,
  scales: Float32Array,
  window: number,
  range: IntRange,
): void {
  if (window < 2) return;
  const signed = new Int8Array(codes.buffer, codes.byteOffset, codes.length);
  const errors = new Float64Array(window);
  const perChannel = data.length / scales.length;
  for (let from = 0; from < data.length; from += window) {
    const scale = scales[Math.floor(from / perChannel)] as number;
    let sum = 0;
    for (let j = 0; j < window; j++) {
      errors[j] = (signed[from + j] as number) - (data[from + j] as number) / scale;
      sum += errors[j] as number;
    }
    const sign = Math.sign(sum);
    for (let left = Math.round(Math.abs(sum)); left > 0; left--) {
      const best = largest(errors, signed, from, sign, range);
      if (best < 0) break;
      signed[from + best] = (signed[from + best] as number) - sign;
      errors[best] = (errors[best] as number) - sign;
    }
  }
}

/**
 * Elements of one window of a convolution's weights [outputs, inputs of a group, …window] over pictures or volumes. Along a wave neighbours are not
 * alike: 1, which leaves it as it is (silero-vad, weights in 8 bits: 35.1 dB, balanced 34.0).
 */
export function windowOf(shape: readonly number[]): number {
  return shape.length < 4 ? 1 : shape.slice(2).reduce((product, size) => product * size, 1);
}

/** The element that was rounded furthest in the direction of `sign` and may be rounded the other way; −1 if none. */
function largest(errors: Float64Array, codes: Int8Array, from: number, sign: number, range: IntRange): number {
  let best = -1;
  let most = 0;
  for (let j = 0; j < errors.length; j++) {
    const error = (errors[j] as number) * sign;
    const code = (codes[from + j] as number) - sign;
    if (error <= most || code < range.min || code > range.max) continue;
    best = j;
    most = error;
  }
  return best;
}
