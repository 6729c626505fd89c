import type { Node, Value } from '../../../src/ir/graph.ts';
import { computedTensor, tensorFrom, tensorFromBytes, typedArray } from '../../../src/ir/tensor.ts';
import { balanceWindows, windowOf } from '../../../src/kernels/balance.ts';
import {
  type AxisView,
  affineParams,
  axisView,
  channelRanges,
  intRanges,
  largestBias,
  quantizeChannels,
  transpose,
} from '../../../src/kernels/quantize.ts';
import { leastSafeScales } from '../../../src/kernels/saturation.ts';
import { addConstant } from '../../../src/rewrite/edit.ts';
import type { Reduce } from '../cpu.ts';
import { placeFor } from '../linear.ts';
import { productLayout } from './product-layout.ts';
import type { Weighted } from './weighted.ts';

export interface WeightOptions {
  readonly perChannel: boolean;
  /** Which weights take 7 bits or a little more, for processors that add u8·s8 products in 16 bits. */
  readonly reduce: Reduce;
}

/** Weights as DequantizeLinear takes them, symmetric int8. */
export interface QuantizedWeight {
  readonly codes: Value;
  readonly scale: Value;
  readonly zeroPoint: Value;
  /** One scale, or one for each output channel along `axis`; the factor alpha of a Gemm is in them. */
  readonly scales: Float32Array;
  readonly axis: number | undefined;
  /** Output channels whose scale was widened so that no pair of products saturates. */
  readonly widened: number;
}

/** Quantizes each weight once, whoever reads it, as long as all its readers can take the same scales. */
export class WeightStore {
  readonly #options: WeightOptions;
  readonly #made = new Map<Value, Map<string, QuantizedWeight>>();

  constructor(options: WeightOptions) {
    this.#options = options;
  }

  /**
   * @param inputScale of the activation that the weights meet. Together with the bias it sets a floor to the scales: a bias b is
   * stored as b / (inputScale · scale) in int32, which must not overflow.
   * @param largest highest u8 code of each input channel, or one for all
   */
  get(node: Node, weighted: Weighted, inputScale: number, largest: ArrayLike<number>): QuantizedWeight {
    const { weight, tensor, axis, transposed, alpha } = weighted;
    const channelAxis = this.#options.perChannel ? axis : undefined;
    const { reduce } = this.#options;
    const range = reduce === 'all' ? intRanges.int8.reduced : intRanges.int8.symmetric;
    const view = viewOf(weighted, channelAxis);
    const { low, high } = channelRanges(typedArray(tensor, 'float32'), view);
    const own = Float32Array.from(low, (min, c) => affineParams(min, high[c] as number, range, true).scale);
    refineForBias(own, low, high, weighted, inputScale);
    const widened = reduce === 'threatened' ? widenForPairs(own, node, weighted, largest) : 0;
    raiseForBias(own, weighted, inputScale);
    const key = [channelAxis, transposed, alpha, ...own].join();
    const known = this.#made.get(weight)?.get(key);
    if (known) return known;
    const shape = transposed ? [...tensor.shape].reverse() : tensor.shape;
    const zeros = new Uint8Array(own.length);
    const window = node.op === 'Conv' ? windowOf(tensor.shape) : 1;
    const codes = computedTensor('int8', shape, () => {
      const data = typedArray(tensor, 'float32');
      const codes = quantizeChannels(data, view, { scales: own, zeroPoints: zeros }, range);
      balanceWindows(data, codes, own, window, range);
      return transposed ? transpose(codes, tensor.shape[0] ?? 1, tensor.shape[1] ?? 1) : codes;
    });
    const scales = own.map((scale) => scale * alpha);
    const parameterShape = channelAxis === undefined ? [] : [own.length];
    const name = (suffix: string): string => `${weight.name}_${suffix}`;
    // Beside the weights: layers in other branches may read them too.
    const place = placeFor(weight, node);
    const made: QuantizedWeight = {
      codes: addConstant(place, name('quantized'), codes),
      scale: addConstant(place, name('scale'), tensorFrom('float32', parameterShape, scales)),
      zeroPoint: addConstant(place, name('zero_point'), tensorFromBytes('int8', parameterShape, zeros)),
      scales,
      axis: channelAxis,
      widened,
    };
    this.#made.set(weight, (this.#made.get(weight) ?? new Map<string, QuantizedWeight>()).set(key, made));
    return made;
  }
}

/** The stored weights, which may be the other way round than the node takes them, seen by output channel. */
function viewOf({ tensor, transposed }: Weighted, axis: number | undefined): AxisView {
  const { shape } = tensor;
  if (axis === undefined) return { outer: 1, channels: 1, inner: shape.reduce((a, b) => a * b, 1) };
  return axisView(shape, transposed ? 1 - axis : axis);
}

/**
 * Enlarges scales just enough that no sum of two neighbouring products leaves 16 bits: never further than 7 bits would.
 * @returns how many
 */
function widenForPairs(scales: Float32Array, node: Node, weighted: Weighted, largest: ArrayLike<number>): number {
  const layout = productLayout(node, weighted);
  if (!layout) return 0;
  const least = leastSafeScales(scales, typedArray(weighted.tensor, 'float32'), layout, largest);
  let widened = 0;
  for (const [c, scale] of least.entries()) {
    if (!(scale > (scales[c] as number))) continue;
    scales[c] = scale;
    widened++;
  }
  return widened;
}

/** The steps that the bias of a channel has where no weights say what they are to be. */
const stepsOfBias = 2 ** 24;

/** Channels of zeros (of pruned or dead filters) give out their bias alone: any scale will do for them, so it is one in whose steps the bias is exact. */
function refineForBias(
  scales: Float32Array,
  low: Float32Array,
  high: Float32Array,
  { bias, alpha }: Weighted,
  inputScale: number,
): void {
  if (!bias) return;
  for (let c = 0; c < scales.length; c++) {
    if (low[c] !== 0 || high[c] !== 0) continue;
    const largest =
      scales.length === 1 ? bias.reduce((most, b) => Math.max(most, Math.abs(b)), 0) : Math.abs(bias[c] ?? 0);
    if (largest > 0) scales[c] = largest / stepsOfBias / (inputScale * alpha);
  }
}

/** Enlarges scales just enough for the bias to fit int32, and for its scale to be a normal float32. */
function raiseForBias(scales: Float32Array, { bias, alpha }: Weighted, inputScale: number): void {
  const factor = inputScale * alpha;
  const smallest = 2 ** -126 / factor;
  for (let c = 0; c < scales.length; c++) {
    let floor = smallest;
    if (bias) {
      // With one scale for all channels the largest bias counts.
      const magnitude =
        scales.length === 1 ? bias.reduce((most, b) => Math.max(most, Math.abs(b)), 0) : Math.abs(bias[c] as number);
      floor = Math.max(floor, magnitude / largestBias / factor);
    }
    if ((scales[c] as number) < floor) scales[c] = floor * (1 + 2 ** -20);
  }
}
