/** Gemm and MatMul as operators that take a factor and a shift of their columns in. */
import { float } from '../../src/ir/attr.ts';
import { constantOf } from '../../src/ir/constant.ts';
import type { Node, Value } from '../../src/ir/graph.ts';
import type { Tensor } from '../../src/ir/tensor.ts';
import { staticShape } from '../../src/ir/types.ts';
import type { Match } from '../../src/rewrite/match.ts';
import { any, constant, type InputPattern, maybe, op } from '../../src/rewrite/pattern.ts';
import type { Site } from '../../src/rewrite/rule.ts';
import { perChannel, weightLayout } from './channels.ts';
import { isFoldable } from './floats.ts';
import type { Linear } from './fold.ts';

/** A Gemm or MatMul bound as `gemm` whose value is used once, with weight `w` and bias `b`. */
export function gemmPattern(weight: InputPattern): InputPattern {
  return op(['Gemm', 'MatMul'], [any('x'), weight, maybe(constant('b'))], { as: 'gemm', once: true });
}

/** Y = alpha · A · B + beta · C by columns: the new C is beta · C, so beta becomes 1 (Gemm-7 and later). */
export function gemmLinear(match: Match, { types }: Site): Linear | string {
  const node = match.node('gemm');
  const x = match.value('x');
  const weight = match.value('w');
  if (node.op === 'MatMul') {
    const rank = types.shapeOf(x)?.length;
    if (rank === undefined) return `the rank of "${x.name}" is not known, and Gemm takes matrices only`;
    if (rank !== 2) return `"${x.name}" is of rank ${rank}, and Gemm takes matrices only`;
  }
  const weightData = constantOf(weight);
  const shape = staticShape(types.shapeOf(weight));
  if (!shape) return `the shape of the weight "${weight.name}" of ${node} is not known`;
  const layout = weightLayout(node, shape);
  if (typeof layout === 'string') return layout;
  const dtype = types.dtypeOf(weight);
  if (!isFoldable(dtype)) return `${node} computes in ${dtype ?? 'an unknown type'}, which is not folded`;
  const bias = match.maybeTensor('b');
  const numbers = bias && columnBias(node, match.value('b'), bias, layout.channels);
  if (typeof numbers === 'string') return numbers;
  return {
    node,
    weight,
    weightData,
    layout,
    bias: numbers && { value: match.value('b'), numbers },
    dtype,
    rank: 2,
    axis: 1,
    insert(edit, inputs) {
      const attrs = { beta: float(1) };
      if (node.op === 'Gemm') return edit.insertLike(node, { inputs, attrs });
      const gemm = edit.insert('Gemm', { inputs });
      gemm.name = node.name;
      return gemm;
    },
  };
}

function columnBias(node: Node, value: Value, tensor: Tensor, channels: number): Float64Array | string {
  const numbers = perChannel(tensor, value.name, { rank: 2, axis: 1, channels });
  if (typeof numbers === 'string') return `${numbers}, so the bias of ${node} cannot take it in`;
  const beta = node.float('beta', 1);
  return numbers.map((number) => number * beta);
}
