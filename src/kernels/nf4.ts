import type { LinearWeights } from './blockwise.ts';

/** The sixteen values of NF4 (QLoRA, appendix E): quantiles of the normal distribution, scaled to ±1, 0 among them. */
export const nf4Values: readonly number[] = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
  -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
  0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
];

const bounds = nf4Values.slice(1).map((value, i) => (value + (nf4Values[i] as number)) / 2);

/** The layout of com.microsoft.MatMulBnb4. x̂ = table[code] · absmax. */
export interface Nf4Quantized {
  /** Two codes a byte, the first in the high bits, over the flat [N, K]. */
  readonly codes: Uint8Array;
  /** One for each block of the flat [N, K]: blocks run on from row to row. */
  readonly absmax: Float32Array;
  /** Σx² and Σ(x − x̂)². */
  readonly signal: number;
  readonly noise: number;
}

/** Weights on the NF4 grid, each block scaled to its largest magnitude. */
export function quantizeNf4({ data, k, n, rows }: LinearWeights, block: number): Nf4Quantized {
  const count = n * k;
  const codes = new Uint8Array(Math.ceil(count / 2));
  const absmax = new Float32Array(Math.ceil(count / block));
  const x = new Float32Array(block);
  let [signal, noise] = [0, 0];
  for (let b = 0; b < absmax.length; b++) {
    const from = b * block;
    const length = Math.min(block, count - from);
    let largest = 0;
    for (let i = 0; i < length; i++) {
      const at = from + i;
      const value = (rows === 'n' ? data[at] : data[(at % k) * n + Math.floor(at / k)]) as number;
      x[i] = value;
      largest = Math.max(largest, Math.abs(value));
    }
    absmax[b] = largest;
    for (let i = 0; i < length; i++) {
      const value = x[i] as number;
      const code = nearest(largest > 0 ? value / largest : 0);
      const at = from + i;
      codes[at >> 1] = (codes[at >> 1] as number) | (code << (at % 2 === 0 ? 4 : 0));
      signal += value * value;
      noise += (value - (nf4Values[code] as number) * largest) ** 2;
    }
  }
  return { codes, absmax, signal, noise };
}

function nearest(x: number): number {
  let code = 0;
  while (code < bounds.length && x > (bounds[code] as number)) code++;
  return code;
}
