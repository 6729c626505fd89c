import { affineParams, type IntRange } from './quantize.ts';
import { roundHalfEven } from './round.ts';

/**
 * SmoothQuant (Xiao et al. 2022, eq. 4): s_j = max|X_j|^α / max|W_j|^(1−α) for each input channel, brought to a geometric mean of 1. Channels that
 * are never anything but zero, in the activation or in the weights, get 1.
 */
export function smoothFactors(activation: ArrayLike<number>, weight: ArrayLike<number>, alpha: number): Float64Array {
  const factors = new Float64Array(activation.length).fill(1);
  let logs = 0;
  let live = 0;
  for (let j = 0; j < factors.length; j++) {
    const [x, w] = [activation[j] as number, weight[j] as number];
    if (!(x > 0 && w > 0)) continue;
    const s = x ** alpha / w ** (1 - alpha);
    factors[j] = s;
    logs += Math.log(s);
    live++;
  }
  const mean = Math.exp(logs / Math.max(1, live));
  for (let j = 0; j < factors.length; j++) {
    if (!((activation[j] as number) > 0 && (weight[j] as number) > 0)) continue;
    // Beyond these the folded weights would lose digits.
    factors[j] = Math.min(1e4, Math.max(1e-4, (factors[j] as number) / mean));
  }
  return factors;
}

/** Rows [count, k] divided by the factors and rounded to unsigned 8 bits with one scale, as a static QDQ model has them; in floats. */
export function fakeQuantizeRows(
  rows: Float32Array,
  k: number,
  low: ArrayLike<number>,
  high: ArrayLike<number>,
  factors: Float64Array,
): Float32Array {
  let [min, max] = [0, 0];
  for (let j = 0; j < k; j++) {
    min = Math.min(min, (low[j] as number) / (factors[j] as number));
    max = Math.max(max, (high[j] as number) / (factors[j] as number));
  }
  const { scale, zeroPoint } = affineParams(min, max, { min: 0, max: 255 }, false);
  const result = new Float32Array(rows.length);
  for (let at = 0; at < rows.length; at++) {
    const code = roundHalfEven((rows[at] as number) / (factors[at % k] as number) / scale) + zeroPoint;
    result[at] = (Math.min(255, Math.max(0, code)) - zeroPoint) * scale;
  }
  return result;
}

/** Weights [k, n] times the factors, rounded to symmetric codes with one scale for each column, or one for all; in floats. */
export function fakeQuantizeWeights(
  weights: Float32Array,
  k: number,
  n: number,
  factors: Float64Array,
  range: IntRange,
  perChannel: boolean,
): Float32Array {
  const largest = new Float64Array(perChannel ? n : 1);
  const result = new Float32Array(weights.length);
  for (let j = 0, at = 0; j < k; j++) {
    for (let c = 0; c < n; c++, at++) {
      const w = (weights[at] as number) * (factors[j] as number);
      result[at] = w;
      const to = perChannel ? c : 0;
      if (Math.abs(w) > (largest[to] as number)) largest[to] = Math.abs(w);
    }
  }
  for (let at = 0; at < result.length; at++) {
    const scale = (largest[perChannel ? at % n : 0] as number) / range.max;
    if (scale > 0) result[at] = roundHalfEven((result[at] as number) / scale) * scale;
  }
  return result;
}
