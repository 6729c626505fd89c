import type { Value } from '../../../src/ir/graph.ts';
import { tensorFrom, tensorFromBytes } from '../../../src/ir/tensor.ts';
import { tensorType } from '../../../src/ir/types.ts';
import { balanceChannels } from '../../../src/kernels/balance.ts';
import {
  allFinite,
  axisView,
  channelRanges,
  intRanges,
  quantizeChannels,
  transpose,
} from '../../../src/kernels/quantize.ts';
import { leastSafeScales } from '../../../src/kernels/saturation.ts';
import { searchScales } from '../../../src/kernels/weight-rows.ts';
import { addConstant } from '../../../src/rewrite/edit.ts';
import type { Reduce } from '../cpu.ts';
import { float32First, floatWeights, type Linear, placeFor } from '../linear.ts';
import { looksUp } from '../table.ts';
import { rowScales } from './underflow.ts';

export type WeightType = 'int8' | 'uint8';

export interface WeightFormat {
  readonly type: WeightType;
  /** For signed weights: kernels for unsigned ones widen first. */
  readonly reduce: Reduce;
  /** Scales with the least squared error of the weights, where the largest codes may be cut; else those of the whole range. */
  readonly search?: boolean;
}

/** Weights as MatMulInteger takes them; the zero point is undefined where it is 0. */
export interface QuantizedWeights {
  readonly codes: Value;
  readonly scales: Value;
  readonly zeroPoint: Value | undefined;
}

const middle = { int8: 0, uint8: 128 } as const;

/** The range of symmetric codes around the middle. */
export function codeRange(format: WeightFormat): { min: number; max: number } {
  return format.type === 'uint8' ? { min: 1, max: 255 } : signedRange(format);
}

/** The same around 0. */
export function signedRange({ type, reduce }: WeightFormat): { min: number; max: number } {
  return type === 'int8' && reduce === 'all' ? intRanges.int8.reduced : intRanges.int8.symmetric;
}

/**
 * The scales, or larger ones where the processor asks for that: with them no pair of neighbours along K saturates, whatever the activations
 * are, which come as u8 of full range.
 * @param full scales of the whole range
 * @param matrix the weights [K, N] (`rows` 'k') or [N, K] ('n')
 */
export function safeScales(
  { type, reduce }: WeightFormat,
  scales: Float32Array,
  full: Float32Array,
  matrix: Float32Array,
  rows: Linear['rows'],
): Float32Array {
  if (type !== 'int8' || reduce !== 'threatened') return scales;
  const n = full.length;
  const k = matrix.length / n;
  const [channelStride, innerStride] = rows === 'k' ? [1, n] : [k, 1];
  const layout = { channels: n, channelStride, taps: 1, tapStride: 0, inner: k, innerStride, perGroup: n };
  const least = leastSafeScales(full, matrix, layout, [255]);
  return scales.map((scale, c) => Math.max(scale, least[c] as number));
}

/** Quantizes each weight once, whoever reads it. */
export class WeightStore {
  readonly #format: WeightFormat;
  readonly #made = new Map<string, QuantizedWeights>();
  readonly #ids = new Map<Value, number>();
  readonly #tables = new Map<Value, { readonly codes: Value; readonly scales: Value }>();

  constructor(format: WeightFormat) {
    this.#format = format;
  }

  /**
   * [K, N] codes with one scale per column (times alpha), [..., K, N] and [..., 1, N] when batched.
   * @returns a sentence when the weights cannot be quantized.
   */
  columns(linear: Linear): QuantizedWeights | string {
    const { weight, tensor, batch, k, n, rows, alpha } = linear;
    const key = `${this.#id(weight)} ${rows} ${alpha}`;
    const known = this.#made.get(key);
    if (known) return known;
    const data = floatWeights(tensor);
    if (!data || tensor.dtype !== 'float32')
      return `its weights "${weight.name}" are ${tensor.dtype}, not float32${float32First(tensor.dtype)}`;
    if (!allFinite(data)) return `its weights "${weight.name}" hold NaN or infinite numbers`;
    const { type } = this.#format;
    const [range, signed] = [codeRange(this.#format), signedRange(this.#format)];
    const count = batch.reduce((a, b) => a * b, 1);
    const codes = new Uint8Array(data.length);
    const scales = new Float32Array(count * n);
    const view = rows === 'k' ? axisView([k, n], 1) : axisView([n, k], 0);
    const zeroPoints = new Uint8Array(n).fill(middle[type]);
    const table =
      type === 'int8' && rows === 'n' && alpha === 1 && weight.consumers.some((node) => looksUp(node, weight));
    for (let i = 0; i < count; i++) {
      const matrix = data.subarray(i * k * n, (i + 1) * k * n);
      const { low, high } = channelRanges(matrix, view);
      const full = rowScales(weight, low, high, signed);
      if (typeof full === 'string') return full;
      const chosen = this.#format.search
        ? searchScales(rows === 'k' ? transpose(matrix, k, n) : matrix, k, full, signed)
        : full;
      const own = safeScales(this.#format, chosen, full, matrix, rows);
      const part = quantizeChannels(matrix, view, { scales: own, zeroPoints }, range);
      if (!table) balanceChannels(matrix, part, view, { scales: own, zeroPoints }, range);
      codes.set(rows === 'k' || table ? part : transpose(part, n, k), i * k * n);
      scales.set(
        own.map((scale) => scale * alpha),
        i * n,
      );
    }
    const made: QuantizedWeights = {
      codes: table
        ? this.#table(linear, codes, scales)
        : this.#constant(linear, 'quantized', tensorFromBytes(type, [...batch, k, n], codes)),
      scales: this.#constant(
        linear,
        'scale',
        tensorFrom('float32', count > 1 || batch.length > 0 ? [...batch, 1, n] : [n], scales),
      ),
      zeroPoint:
        type === 'uint8'
          ? this.#constant(linear, 'zero_point', tensorFromBytes('uint8', [], Uint8Array.of(128)))
          : undefined,
    };
    this.#made.set(key, made);
    return made;
  }

  /** The codes of a table [rows, width] that a layer multiplies with too, and the scales of its rows [rows, 1]. */
  tableOf(table: Value): { readonly codes: Value; readonly scales: Value } | undefined {
    return this.#tables.get(table);
  }

  /** Stored as the embedding reads them, [N, K]; for the layer a Transpose, which ONNX Runtime does at load. */
  #table(linear: Linear, codes: Uint8Array, scales: Float32Array): Value {
    const { weight, node, k, n } = linear;
    const rows = this.#constant(linear, 'quantized', tensorFromBytes('int8', [n, k], codes));
    const factors = this.#constant(linear, 'row_scale', tensorFrom('float32', [n, 1], scales));
    this.#tables.set(weight, { codes: rows, scales: factors });
    const anchor = placeFor(weight, node);
    const turned = anchor.graph.insertBefore(anchor, 'Transpose', {
      inputs: [rows],
      attrs: { perm: [1, 0] },
      types: [tensorType('int8', [k, n])],
    });
    return turned.output();
  }

  #constant(linear: Linear, suffix: string, tensor: Parameters<typeof addConstant>[2]): Value {
    const { weight, node } = linear;
    return addConstant(placeFor(weight, node), `${weight.name}_${suffix}`, tensor);
  }
  #id(value: Value): number {
    const id = this.#ids.get(value) ?? this.#ids.size;
    this.#ids.set(value, id);
    return id;
  }
}
