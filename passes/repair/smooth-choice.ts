import { intRanges, transpose } from '../../src/kernels/quantize.ts';
import { fakeQuantizeRows, fakeQuantizeWeights, smoothFactors } from '../../src/kernels/smooth.ts';
import type { ChannelStats, Gram } from '../../src/pass/pass.ts';
import type { Products } from '../quantize/weight-only/product.ts';
import type { Layer } from './layer.ts';

/** α tried for each layer. At 0 the weights are levelled, at 1 the activation is. */
const alphas = Array.from({ length: 21 }, (_, i) => i / 20);
const leastRows = 16;

export interface Choice {
  readonly factors: Float64Array;
  readonly alpha: number;
  readonly gain: number;
}

/** @returns why the layers stay as they are */
export async function chooseAlpha(
  layers: readonly Layer[],
  seen: ChannelStats,
  gram: Gram,
  given: { readonly perChannel: boolean; readonly bits: number; readonly minGain: number; readonly rounded: boolean },
  product: Products,
): Promise<Choice | string> {
  const { k, heldOut, heldOutRows } = gram;
  if (seen.nonFinite > 0) return `its input was NaN or infinite ${seen.nonFinite} times on the samples`;
  if (heldOutRows < leastRows || seen.mean.length !== k)
    return `${heldOutRows} rows of data are too few to choose factors by`;
  const range = given.bits === 7 ? intRanges.int8.reduced : intRanges.int8.symmetric;
  // Chosen on every other row, judged on the rest.
  const parts = [0, 1].map((part) => everyOther(heldOut, k, part));
  const ones = new Float64Array(k).fill(1);
  const [first, second] = parts.map((rows) =>
    given.rounded ? fakeQuantizeRows(rows, k, seen.min, seen.max, ones) : rows,
  ) as [Float32Array, Float32Array];
  const weights = layers.map((layer) => ({ n: layer.outputs, data: weightMatrix(layer) }));
  const exact = await Promise.all(
    parts.map((rows) => Promise.all(weights.map(({ n, data }) => product.float32(rows, data, rows.length / k, k, n)))),
  );
  const noise = async (factors: Float64Array, part: number): Promise<number> => {
    const rows = part === 0 ? first : second;
    const x = fakeQuantizeRows(rows, k, seen.min, seen.max, factors);
    let sum = 0;
    for (const [index, { n, data }] of weights.entries()) {
      const w = fakeQuantizeWeights(data, k, n, factors, range, given.perChannel);
      const y = await product.float32(x, w, rows.length / k, k, n);
      const want = exact[part]?.[index] as Float32Array;
      for (let at = 0; at < y.length; at++) sum += ((y[at] as number) - (want[at] as number)) ** 2;
    }
    return sum;
  };
  const activation = Float64Array.from(seen.max, (max, j) => Math.max(max, -(seen.min[j] as number)));
  const weight = largestByInput(layers, k);
  let best: { alpha: number; factors: Float64Array; noise: number } | undefined;
  for (const alpha of alphas) {
    const factors = smoothFactors(activation, weight, alpha);
    const own = await noise(factors, 0);
    if (!best || own < best.noise) best = { alpha, factors, noise: own };
  }
  if (!best) return 'its weights are zero';
  const before = await noise(ones, 1);
  const gain = 10 * Math.log10(before / (await noise(best.factors, 1)));
  if (!(gain >= given.minGain))
    return `no factors bring its outputs nearer by ${given.minGain} dB on rows that they were not chosen by (best ${gain.toFixed(1)} dB, with α ${best.alpha})`;
  return { factors: best.factors, alpha: best.alpha, gain };
}

function everyOther(rows: Float32Array, k: number, part: number): Float32Array {
  const count = rows.length / k;
  const picked = new Float32Array(Math.floor((count - part + 1) / 2) * k);
  for (let row = part, at = 0; row < count; row += 2, at += k) picked.set(rows.subarray(row * k, (row + 1) * k), at);
  return picked;
}

/** [k, n] */
function weightMatrix({ data, a, b, inputs, input }: Layer): Float32Array {
  const byInput = a === inputs && input(a - 1, 0) === a - 1;
  return byInput ? data : transpose(data, a, b);
}

function largestByInput(layers: readonly Layer[], k: number): Float64Array {
  const largest = new Float64Array(k);
  for (const layer of layers) {
    for (let i = 0, at = 0; i < layer.a; i++) {
      for (let j = 0; j < layer.b; j++, at++) {
        const input = layer.input(i, j);
        largest[input] = Math.max(largest[input] as number, Math.abs(layer.data[at] as number));
      }
    }
  }
  return largest;
}
