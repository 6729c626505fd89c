import type { Value } from '../../../src/ir/graph.ts';
import { type Tensor, tensorFrom, tensorFromBytes } from '../../../src/ir/tensor.ts';
import { tensorType } from '../../../src/ir/types.ts';
import { storedBits } from '../../../src/kernels/block-fit.ts';
import { f32ToF16 } from '../../../src/kernels/f16.ts';
import { type CodeBits, packCodes, unpackCodes } from '../../../src/kernels/pack.ts';
import { transpose } from '../../../src/kernels/quantize.ts';
import { addConstant, type Edit } from '../../../src/rewrite/edit.ts';
import { miss } from '../../../src/rewrite/match.ts';
import { releaseConstant } from '../../../src/rewrite/release-constant.ts';
import type { Rule } from '../../../src/rewrite/rule.ts';
import { type Linear, placeFor } from '../linear.ts';
import type { LayerBook } from './book.ts';

/**
 * Weights of MatMul and Gemm behind a blocked DequantizeLinear (opset 21): codes [K, N] of int4, int8 (symmetric) or uint4,
 * uint8, scales [ceil(K/block), N], axis 0. Standard operators only; ONNX Runtime fuses it into MatMulNBits where it has
 * that, or expands the weights once at load (`session.disable_quant_qdq`).
 */
export function blockedDequantizeRule(book: LayerBook): Rule {
  const made = new Map<Value, Map<string, { readonly value: Value; readonly detail: string }>>();
  return {
    id: 'blocked-dq',
    summary: 'Weights of MatMul and Gemm are stored in blocks behind DequantizeLinear',
    ops: ['MatMul', 'Gemm'],
    apply(match, edit) {
      const { root } = match;
      const linear = book.candidate(root);
      if (typeof linear === 'string') return miss(root, linear);
      if (edit.opset < 21)
        return miss(
          root,
          `opset ${edit.opset} has no blocked DequantizeLinear (21 has): use --format matmul-nbits, which needs none`,
        );
      if (book.optionsFor(linear).bits === 2)
        return miss(root, 'ONNX Runtime has no 2-bit DequantizeLinear at this opset: use --format matmul-nbits');
      const byRows = made.get(linear.weight) ?? new Map<string, { value: Value; detail: string }>();
      made.set(linear.weight, byRows);
      const known = byRows.get(linear.rows) ?? dequantized(edit, linear, book);
      if (typeof known === 'string') return miss(root, known);
      byRows.set(linear.rows, known);
      const before = root.input(1);
      root.setInput(1, known.value);
      if (root.op === 'Gemm' && root.attr('transB')) root.setAttr('transB', 0);
      releaseConstant(before);
      return { detail: known.detail };
    },
  };
}

function dequantized(edit: Edit, linear: Linear, book: LayerBook): { value: Value; detail: string } | string {
  const layer = book.quantize(linear);
  if (typeof layer === 'string') return layer;
  const { weight, tensor, k, n, node } = linear;
  const { quantized } = layer;
  const { zeroPoints } = quantized;
  if (zeroPoints instanceof Float32Array) return 'its zero points are real numbers, which DequantizeLinear cannot hold';
  const { block, symmetric } = layer.format;
  const bits = storedBits(layer.format.bits);
  const blocks = Math.ceil(k / block);
  const anchor = placeFor(weight, node);
  const dtype = symmetric ? (bits === 4 ? 'int4' : 'int8') : bits === 4 ? 'uint4' : 'uint8';
  const pack = (codes: Uint8Array): Uint8Array =>
    packCodes(symmetric ? codes.map((code) => code - 2 ** (bits - 1)) : codes, bits);
  const constant = (suffix: string, data: Tensor): Value => addConstant(anchor, `${weight.name}_${suffix}`, data);
  const codes = rowsOf(quantized.codes, n, blocks * block, k, bits);
  const scales = transpose(quantized.scales, n, blocks);
  const zeros =
    zeroPoints && transpose(rowsOf(zeroPoints, n, (zeroPoints.length / n) * (8 / bits), blocks, bits), n, blocks);
  const inputs = [
    constant(`q${layer.format.bits}`, tensorFromBytes(dtype, [k, n], pack(transpose(codes, n, k)))),
    constant(
      'scales',
      tensor.dtype === 'float16'
        ? tensorFrom('float16', [blocks, n], f32ToF16(scales))
        : tensorFrom('float32', [blocks, n], scales),
    ),
    zeros && constant('zero_points', tensorFromBytes(dtype, [blocks, n], pack(zeros))),
  ];
  const dq = edit.insert(
    'DequantizeLinear',
    { inputs, attrs: { axis: 0, block_size: block }, types: [tensorType(tensor.dtype, [k, n])] },
    anchor,
  );
  return {
    value: dq.output(),
    detail: `${tensor.shape.join('×')} weights in ${layer.format.bits} bits, ${layer.quality}`,
  };
}

/** The first `length` codes of each of `n` packed rows that hold `stride` codes. */
function rowsOf(packed: Uint8Array, n: number, stride: number, length: number, bits: CodeBits): Uint8Array {
  const all = unpackCodes(packed, bits, n * stride);
  if (stride === length) return all;
  const rows = new Uint8Array(n * length);
  for (let row = 0; row < n; row++) rows.set(all.subarray(row * stride, row * stride + length), row * length);
  return rows;
}
