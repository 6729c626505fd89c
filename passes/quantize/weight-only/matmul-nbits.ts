import { tensorType } from '../../../src/ir/types.ts';
import { miss } from '../../../src/rewrite/match.ts';
import type { Rule } from '../../../src/rewrite/rule.ts';
import { useMicrosoft } from '../contrib.ts';
import { finishLinear, plainActivation } from '../rewire.ts';
import type { LayerBook } from './book.ts';
import type { BlockStore } from './store.ts';

/**
 * MatMul and Gemm → com.microsoft.MatMulNBits: B uint8 [N, ceil(K/block), block·bits/8], scales [N, ceil(K/block)], zero
 * points uint8 [N, ceil(ceil(K/block)·bits/8)] or real numbers [N, ceil(K/block)]. `accuracy_level` 4 computes in int8; without it 8- and 2-bit weights
 * fall into a kernel that is far slower than float.
 */
export function matMulNBitsRule(book: LayerBook, store: BlockStore, accuracyLevel: number): Rule {
  return {
    id: 'matmul-nbits',
    summary: 'MatMul and Gemm with constant weights become MatMulNBits',
    ops: ['MatMul', 'Gemm'],
    apply(match, edit) {
      const { root } = match;
      const linear = book.candidate(root);
      if (typeof linear === 'string') return miss(root, linear);
      const weights = store.get(linear);
      if (typeof weights === 'string') return miss(root, weights);

      useMicrosoft(root);
      const product = edit.insert('MatMulNBits', {
        domain: 'com.microsoft',
        name: root.name,
        inputs: [plainActivation(edit, linear), weights.codes, weights.scales, weights.zeroPoints],
        attrs: {
          K: linear.k,
          N: linear.n,
          bits: weights.bits,
          block_size: weights.block,
          // 8- and 2-bit weights have a usable kernel only at level 4.
          accuracy_level: weights.bits === 4 ? accuracyLevel : 4,
        },
        types: [tensorType(linear.tensor.dtype, root.output().shape)],
      });
      finishLinear(edit, linear, product);
      return { detail: weights.detail };
    },
  };
}
