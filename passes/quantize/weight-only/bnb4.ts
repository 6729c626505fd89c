import type { Value } from '../../../src/ir/graph.ts';
import { tensorFrom, tensorFromBytes } from '../../../src/ir/tensor.ts';
import { tensorType } from '../../../src/ir/types.ts';
import { f32ToF16 } from '../../../src/kernels/f16.ts';
import { quantizeNf4 } from '../../../src/kernels/nf4.ts';
import { addConstant } from '../../../src/rewrite/edit.ts';
import { miss } from '../../../src/rewrite/match.ts';
import type { Rule } from '../../../src/rewrite/rule.ts';
import { useMicrosoft } from '../contrib.ts';
import { type Linear, placeFor } from '../linear.ts';
import { finishLinear, plainActivation } from '../rewire.ts';
import type { LayerBook } from './book.ts';
import { layerWeights } from './candidate.ts';
import { decibels } from './format.ts';

interface Nf4Weights {
  readonly codes: Value;
  readonly absmax: Value;
  readonly detail: string;
}

/** MatMul and Gemm → com.microsoft.MatMulBnb4 with the NF4 table: the weights as bitsandbytes stores them. */
export function bnb4Rule(book: LayerBook, block: number): Rule {
  const made = new Map<Value, Map<string, Nf4Weights>>();
  return {
    id: 'bnb4',
    summary: 'MatMul and Gemm with constant weights become MatMulBnb4 (NF4)',
    ops: ['MatMul', 'Gemm'],
    apply(match, edit) {
      const { root } = match;
      const linear = book.candidate(root);
      if (typeof linear === 'string') return miss(root, linear);
      const byForm = made.get(linear.weight) ?? new Map<string, Nf4Weights>();
      made.set(linear.weight, byForm);
      const key = `${linear.rows} ${linear.alpha}`;
      const weights = byForm.get(key) ?? store(linear, block);
      if (typeof weights === 'string') return miss(root, weights);
      byForm.set(key, weights);

      useMicrosoft(root);
      const product = edit.insert('MatMulBnb4', {
        domain: 'com.microsoft',
        name: root.name,
        inputs: [plainActivation(edit, linear), weights.codes, weights.absmax],
        attrs: { K: linear.k, N: linear.n, block_size: block, quant_type: 1 },
        types: [tensorType(linear.tensor.dtype, root.output().shape)],
      });
      finishLinear(edit, linear, product);
      return { detail: weights.detail };
    },
  };
}

function store(linear: Linear, block: number): Nf4Weights | string {
  const weights = layerWeights(linear);
  if (typeof weights === 'string') return weights;
  const { codes, absmax, signal, noise } = quantizeNf4(weights, block);
  const { weight, tensor, node } = linear;
  const anchor = placeFor(weight, node);
  const { length } = absmax;
  return {
    codes: addConstant(anchor, `${weight.name}_nf4`, tensorFromBytes('uint8', [codes.length], codes)),
    absmax: addConstant(
      anchor,
      `${weight.name}_absmax`,
      tensor.dtype === 'float16'
        ? tensorFrom('float16', [length], f32ToF16(absmax))
        : tensorFrom('float32', [length], absmax),
    ),
    detail: `${tensor.shape.join('×')} weights in NF4, ${decibels(signal, noise)}`,
  };
}
