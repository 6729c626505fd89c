import { constantOf, constantScalar } from '../../../src/ir/constant.ts';
import { graphsBelow, type Model, type Node, type Value } from '../../../src/ir/graph.ts';

export const squareReason =
  'it belongs to a norm that adds up squares: those leave the range of float16 beyond 255 and lose their digits below 0.01, and runtimes know the norm between two Casts';

const sums: ReadonlySet<string> = new Set(['ReduceMean', 'ReduceSum']);
/** Square and sum in one. */
const lengths: ReadonlySet<string> = new Set(['ReduceL2', 'ReduceSumSquare']);
/** From a mean of squares to what the input is divided by. */
const roots: ReadonlySet<string> = new Set(['Add', 'Mul', 'Div', 'Sqrt', 'Reciprocal', 'Pow', 'Max', 'Clip']);
const joins: ReadonlySet<string> = new Set(['Mul', 'Div']);

/**
 * Nodes of norms that are spelled out and subtract no mean (RMS norm of T5 and Llama, lengths): from the squares up to the product with the input. The
 * residual stream of a language model reaches thousands, whose squares are infinite in float16. LayerNormalization spelled out is left: ONNX Runtime makes
 * one operator of it, which computes in float32 inside, and cannot load it where only part of it is float16 (norm-behind-cast.ts).
 */
export function squareNorms(model: Model): Set<Node> {
  const kept = new Set<Node>();
  for (const graph of graphsBelow(model.graph))
    for (const node of graph.nodes) {
      if (node.domain !== '') continue;
      if (lengths.has(node.op)) kept.add(node);
      const square = sums.has(node.op) ? node.input(0)?.producer : undefined;
      const base = square && squared(square);
      if (!square || !base || base.producer?.is('Sub')) continue;
      const chain = chainFrom(node, base);
      if (chain) for (const one of [square, node, ...chain]) kept.add(one);
    }
  return kept;
}

/** What a node squares. */
function squared(node: Node): Value | undefined {
  const [a, b] = node.inputs;
  if (node.is('Mul')) return a === b ? a : undefined;
  return node.is('Pow') && constantScalar(b) === 2 ? a : undefined;
}

/** From the sum to where the input is read again; undefined where that never is. */
function chainFrom(sum: Node, base: Value): Set<Node> | undefined {
  const found = new Set<Node>([sum]);
  let isNorm = false;
  for (const node of found) {
    if (joins.has(node.op) && node.inputs.includes(base)) continue;
    for (const output of node.outputs)
      for (const reader of output?.consumers ?? []) {
        const others = reader.inputs.filter((value) => value && value !== output && !constantOf(value));
        if (reader.list !== node.list || reader.domain !== '') continue;
        if (roots.has(reader.op) && others.length === 0) found.add(reader);
        else if (joins.has(reader.op) && others.length === 1 && others[0] === base) {
          found.add(reader);
          isNorm = true;
        }
      }
  }
  return isNorm ? found : undefined;
}
