import type { Node } from '../../../src/ir/graph.ts';
import { elementCount, float32Pieces, type Tensor, tensorFrom, typedArray } from '../../../src/ir/tensor.ts';
import { f32ToBf16 } from '../../../src/kernels/bf16.ts';
import { f32ToF16 } from '../../../src/kernels/f16.ts';
import { operatorKey } from './blocked.ts';
import { takesBfloat16 } from './takes-bfloat16.ts';

/** A 16-bit type that takes the place of float32. */
export interface HalfFormat {
  readonly dtype: 'float16' | 'bfloat16';
  readonly suffix: 'fp16' | 'bf16';
  /** Numbers in its bits: finite ones stay finite, clamped to the largest of the type. */
  readonly encode: (numbers: Float32Array) => Uint16Array;
  /** Half of the smallest number above zero: what is smaller becomes zero. */
  readonly vanishes: number;
  /** Values of the size of float32 fit: nothing needs to be looked at for overflow. */
  readonly wide: boolean;
  /** Why an operator that takes float16 does not take this type, if so. */
  readonly problem: (node: Node, opset: number) => string | undefined;
}

export const float16: HalfFormat = {
  dtype: 'float16',
  suffix: 'fp16',
  encode: (numbers) => f32ToF16(numbers, true),
  vanishes: 2 ** -25,
  wide: false,
  problem: () => undefined,
};

export const bfloat16: HalfFormat = {
  dtype: 'bfloat16',
  suffix: 'bf16',
  encode: finiteBf16,
  vanishes: 2 ** -134,
  wide: true,
  problem(node, opset) {
    const since = takesBfloat16(operatorKey(node));
    if (since === undefined) return `${operatorKey(node)} has no bfloat16 form`;
    return node.domain !== '' || since <= opset
      ? undefined
      : `${node.op} takes bfloat16 from opset ${since} on, and the model is of opset ${opset}`;
  },
};

/** The most negative float32, which masks hold for minus infinity, would round to infinity: a row of such is NaN behind a Softmax. */
function finiteBf16(numbers: Float32Array): Uint16Array {
  const halves = f32ToBf16(numbers);
  for (let at = 0; at < halves.length; at++) {
    if (((halves[at] as number) & 0x7fff) === 0x7f80 && Number.isFinite(numbers[at]))
      halves[at] = ((halves[at] as number) & 0x8000) | 0x7f7f;
  }
  return halves;
}

/** Elements converted at a time when a tensor is written in pieces. */
const pieceElements = 1 << 18;

/** A float32 tensor in 16 bits, converted whenever it is asked for and not kept. */
export function storedAs(source: Tensor, { dtype, encode }: HalfFormat): Tensor {
  const { shape } = source;
  const count = elementCount(shape);
  if (count <= 4096) return tensorFrom(dtype, shape, encode(typedArray(source, 'float32')));
  return {
    dtype,
    shape,
    byteLength: 2 * count,
    computed: true,
    bytes: () => asBytes(encode(typedArray(source, 'float32'))),
    *chunks() {
      for (const piece of float32Pieces(source, pieceElements)) yield asBytes(encode(piece));
    },
  };
}

const asBytes = (halves: Uint16Array): Uint8Array =>
  new Uint8Array(halves.buffer, halves.byteOffset, halves.byteLength);
