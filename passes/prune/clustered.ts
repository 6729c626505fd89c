import { balanceCodes } from '../../src/kernels/balance-codes.ts';
import { fitPalette, nearestCodes } from '../../src/kernels/cluster.ts';
import { isPruned } from '../../src/kernels/mask.ts';
import type { AxisView } from '../../src/kernels/quantize.ts';

export const whole = (elements: number): AxisView => ({ outer: 1, channels: 1, inner: elements });

/** A factor for each channel, its root mean square; `each` of an element. */
interface Scales {
  readonly view: AxisView;
  /** 1 for a channel of zeros. */
  readonly factors: Float32Array;
}

export function channelScales(data: Float32Array, view: AxisView): Scales {
  const { outer, channels, inner } = view;
  const squares = new Float64Array(channels);
  let at = 0;
  for (let o = 0; o < outer; o++)
    for (let c = 0; c < channels; c++)
      for (const end = at + inner; at < end; at++) squares[c] = (squares[c] as number) + (data[at] as number) ** 2;
  return { view, factors: Float32Array.from(squares, (sum) => Math.sqrt(sum / (outer * inner)) || 1) };
}

/** data · factor, or / factor. */
function scaled(data: Float32Array, { view, factors }: Scales, inverse: boolean): Float32Array {
  const { outer, channels, inner } = view;
  const result = new Float32Array(data.length);
  let at = 0;
  for (let o = 0; o < outer; o++)
    for (let c = 0; c < channels; c++) {
      const factor = factors[c] as number;
      for (const end = at + inner; at < end; at++)
        result[at] = inverse ? (data[at] as number) / factor : (data[at] as number) * factor;
    }
  return result;
}

export interface Clustered {
  readonly scales: Scales | undefined;
  readonly codes: Uint8Array;
  /** [channels · count] */
  readonly centers: Float32Array;
  readonly view: AxisView;
  readonly signal: number;
  readonly noise: number;
}

/** @param window weights that lie beside each other and belong together (`windowOf`); 1: none */
export function cluster(
  weights: Float32Array,
  view: AxisView,
  count: number,
  scales: Scales | undefined,
  window: number,
): Clustered {
  const { outer, channels, inner } = view;
  const data = scales ? scaled(weights, scales, true) : weights;
  const codes = new Uint8Array(data.length);
  const centers = new Float32Array(channels * count);
  let [signal, noise] = [0, 0];
  const own = new Float32Array(outer * inner);
  for (let c = 0; c < channels; c++) {
    for (let o = 0; o < outer; o++)
      own.set(data.subarray((o * channels + c) * inner, (o * channels + c + 1) * inner), o * inner);
    // Zeros of a pruned layer stay zero.
    const zero = isPruned(own);
    const palette = fitPalette(own, count, { zero }).centers;
    centers.set(palette, c * count);
    const nearest = nearestCodes(own, palette);
    balanceCodes(own, nearest, palette, window);
    for (let o = 0; o < outer; o++) codes.set(nearest.subarray(o * inner, (o + 1) * inner), (o * channels + c) * inner);
  }
  const clustered = { codes, centers, view, scales };
  const stored = expand(clustered);
  for (let at = 0; at < weights.length; at++) {
    signal += (weights[at] as number) ** 2;
    noise += ((weights[at] as number) - (stored[at] as number)) ** 2;
  }
  return { ...clustered, signal, noise };
}

/** What the codes stand for. */
export function expand({ codes, centers, view, scales }: Omit<Clustered, 'signal' | 'noise'>): Float32Array {
  const { outer, channels, inner } = view;
  const count = centers.length / channels;
  const data = new Float32Array(codes.length);
  let at = 0;
  for (let o = 0; o < outer; o++)
    for (let c = 0; c < channels; c++)
      for (const end = at + inner; at < end; at++) data[at] = centers[c * count + (codes[at] as number)] as number;
  return scales ? scaled(data, scales, false) : data;
}
