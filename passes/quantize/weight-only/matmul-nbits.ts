import { elementCount } from '../../../src/ir/tensor.ts';
import { staticShape, tensorType } from '../../../src/ir/types.ts';
import { smallProduct } from '../../../src/kernels/blockwise.ts';
import { miss } from '../../../src/rewrite/match.ts';
import type { Rule } from '../../../src/rewrite/rule.ts';
import { useMicrosoft } from '../contrib.ts';
import type { Linear } from '../linear.ts';
import { finishLinear, plainActivation } from '../rewire.ts';
import type { LayerBook } from './book.ts';
import type { AccuracyLevel } from './format.ts';
import type { BlockStore } from './store.ts';

/**
 * Level 4 sums 8-bit products block by block, level 1 unpacks the weights and multiplies floats. Measured (blocks of 32, one thread, AVX-512 VNNI; time over that of a
 * float MatMul, level 4 / level 1, for 1, 16, 32 and 256 rows): 64 × 64: 1.1/1.1, 1.3/1.2, 1.4/1.1, 2.0/1.1; 64 × 512: 1.1/1.3, 1.7/1.4, 1.7/1.3, 1.9/1.1; 172 × 64: 1.1/1.1, 1.3/1.3, 1.4/1.2,
 * 1.6/1.1; 128 × 128: 1.1/1.2, 1.2/1.3, 1.3/1.2, 1.3/1.0; 128 × 512: 1.0/1.4, 1.2/1.5, 1.2/1.3, 1.2/1.1; 512 × 512: 0.7/1.4, 1.0/1.5, 0.9/1.3, 0.9/1.0; 2048 × 2048: 0.3/0.7, 0.6/1.2, 0.6/1.1, 0.7/1.0.
 */
const fewRows = 16;

/** By the size of the weights, and of what is multiplied with them where that is known: of few rows level 4 is never slower. */
function levelFor({ a, k, n }: Linear): number {
  const shape = staticShape(a.shape);
  const areFew = shape !== undefined && elementCount(shape) / k < fewRows;
  return k * n > smallProduct || areFew ? 4 : 1;
}

/**
 * MatMul and Gemm → com.microsoft.MatMulNBits: B uint8 [N, ceil(K/block), block·bits/8], scales [N, ceil(K/block)], zero
 * points uint8 [N, ceil(ceil(K/block)·bits/8)] or real numbers [N, ceil(K/block)]. `accuracy_level` 4 computes in int8; without it 8- and 2-bit weights
 * fall into a kernel that is far slower than float.
 */
export function matMulNBitsRule(book: LayerBook, store: BlockStore, accuracyLevel: AccuracyLevel): Rule {
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
          accuracy_level: weights.bits !== 4 ? 4 : accuracyLevel === 'auto' ? levelFor(linear) : accuracyLevel,
        },
        types: [tensorType(linear.tensor.dtype, root.output().shape)],
      });
      finishLinear(edit, linear, product);
      return { detail: weights.detail };
    },
  };
}
