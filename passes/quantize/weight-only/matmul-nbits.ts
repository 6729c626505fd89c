import type { Value } from '../../../src/ir/graph.ts';
import { type Tensor, tensorFrom, tensorFromBytes } from '../../../src/ir/tensor.ts';
import { tensorType } from '../../../src/ir/types.ts';
import { f32ToF16 } from '../../../src/kernels/f16.ts';
import { addConstant } from '../../../src/rewrite/edit.ts';
import { miss } from '../../../src/rewrite/match.ts';
import type { Rule } from '../../../src/rewrite/rule.ts';
import { inFunction, useMicrosoft } from '../contrib.ts';
import { type Linear, standingIn } from '../linear.ts';
import { finishLinear, plainActivation } from '../rewire.ts';
import type { CalibratedLayers } from './calibrated.ts';
import { candidate } from './candidate.ts';
import type { WeightOnlyOptions } from './format.ts';

interface StoredWeights {
  readonly codes: Value;
  readonly scales: Value;
  readonly zeroPoints: Value | undefined;
  readonly detail: string;
}

/**
 * MatMul and Gemm → com.microsoft.MatMulNBits: B uint8 [N, ceil(K/block), block·bits/8], scales [N, ceil(K/block)], zero
 * points uint8 [N, ceil(ceil(K/block)·bits/8)] or real numbers [N, ceil(K/block)]. `accuracy_level` 4 computes in int8; without it 8- and 2-bit weights
 * fall into a kernel that is far slower than float.
 */
export function matMulNBitsRule(options: WeightOnlyOptions, layers: CalibratedLayers): Rule {
  const stored = new Map<string, StoredWeights>();
  const ids = new Map<Value, number>();
  return {
    id: 'matmul-nbits',
    summary: 'MatMul and Gemm with constant weights become MatMulNBits',
    ops: ['MatMul', 'Gemm'],
    apply(match, edit) {
      const { root } = match;
      const linear = candidate(root, options);
      if (typeof linear === 'string') return miss(root, linear);
      if (inFunction(root))
        return miss(
          root,
          'it stands in a function body, where contributed operators cannot be imported: inline the functions first',
        );
      const id = ids.get(linear.weight) ?? ids.size;
      ids.set(linear.weight, id);
      const key = `${id} ${linear.rows} ${linear.alpha}`;
      const weights = stored.get(key) ?? store(linear, options, layers);
      if (typeof weights === 'string') return miss(root, weights);
      stored.set(key, weights);

      useMicrosoft(edit.model);
      const product = edit.insert('MatMulNBits', {
        domain: 'com.microsoft',
        name: root.name,
        inputs: [plainActivation(edit, linear), weights.codes, weights.scales, weights.zeroPoints],
        attrs: {
          K: linear.k,
          N: linear.n,
          bits: options.bits,
          block_size: options.block,
          accuracy_level: options.accuracyLevel,
        },
        types: [tensorType(linear.tensor.dtype, root.output().shape)],
      });
      finishLinear(edit, linear, product);
      return { detail: weights.detail };
    },
  };
}

function store(linear: Linear, options: WeightOnlyOptions, layers: CalibratedLayers): StoredWeights | string {
  const { weight, tensor, k, n, node } = linear;
  const layer = layers.quantize(linear);
  if (typeof layer === 'string') return layer;
  const { codes, scales, zeroPoints } = layer.quantized;
  const blocks = Math.ceil(k / options.block);
  const anchor = standingIn(node, weight.graph);
  const constant = (suffix: string, data: Tensor): Value => addConstant(anchor, `${weight.name}_${suffix}`, data);
  const numbers = (data: Float32Array): Tensor =>
    tensor.dtype === 'float16'
      ? tensorFrom('float16', [n, blocks], f32ToF16(data))
      : tensorFrom('float32', [n, blocks], data);
  const zeros =
    zeroPoints instanceof Float32Array
      ? numbers(zeroPoints)
      : zeroPoints && tensorFromBytes('uint8', [n, zeroPoints.length / n], zeroPoints);
  return {
    codes: constant(
      `q${options.bits}`,
      tensorFromBytes('uint8', [n, blocks, (options.block * options.bits) / 8], codes),
    ),
    scales: constant('scales', numbers(scales)),
    zeroPoints: zeros && constant('zero_points', zeros),
    detail: `${tensor.shape.join('×')} weights in ${options.bits} bits, ${layer.quality}`,
  };
}
