import { constantOf } from '../../../src/ir/constant.ts';
import { graphsBelow, type Model, type Node, type Value } from '../../../src/ir/graph.ts';
import { movers } from '../../../src/ir/movers.ts';
import { elementCount } from '../../../src/ir/tensor.ts';
import type { ElementTypes } from './element-types.ts';

const periodic: ReadonlySet<string> = new Set(['Sin', 'Cos', 'Tan']);
/** What angles are made by: positions times frequencies, and the frequencies themselves. */
const arithmetic: ReadonlySet<string> = new Set(
  'Mul Add Sub Div Neg Pow Exp Reciprocal MatMul Einsum Expand Tile Identity Where Mod'.split(' '),
);
/** A matrix of more constants than this is a layer, whose outputs are of moderate size. */
const mostFrequencies = 4096;

export const angleReason =
  'it makes an angle of positions or times, which 16 bits hold to no useful digit where it is large';

export const isPeriodic = (node: Node): boolean => node.domain === '' && periodic.has(node.op);

/**
 * Nodes that make angles of positions, time steps or coordinates and take their sine or cosine: rotary and sinusoidal embeddings. An angle of a thousand
 * is off by a quarter of a radian in float16 and by two in bfloat16, so what is beyond the first hundred tokens would be somewhere else.
 * @returns with those nodes, the constants that they read
 */
export function angleNodes(
  model: Model,
  types: ElementTypes,
): { readonly nodes: ReadonlySet<Node>; readonly constants: ReadonlySet<Value> } {
  const nodes = new Set<Node>();
  const constants = new Set<Value>();
  for (const graph of graphsBelow(model.graph))
    for (const node of graph.nodes) {
      if (!isPeriodic(node)) continue;
      const chain = chainTo(node, types);
      if (!chain.fromInput) continue;
      for (const one of chain.nodes) nodes.add(one);
      for (const one of chain.constants) constants.add(one);
    }
  return { nodes, constants };
}

interface Chain {
  readonly nodes: ReadonlySet<Node>;
  readonly constants: ReadonlySet<Value>;
  /** It begins with an input of the model, or with integers; not with what a layer gives. */
  readonly fromInput: boolean;
}

/** A sine and the arithmetic in front of it, as far as that goes. */
export function chainTo(last: Node, types: ElementTypes): Chain {
  const nodes = new Set([last]);
  const constants = new Set<Value>();
  let [fromInput, fromLayer] = [false, false];
  for (const node of nodes)
    for (const value of node.inputs) {
      // Shapes and indices say nothing of where an angle comes from.
      if (!value || !types.isFloat32(value)) continue;
      const maker = value.producer;
      if (constantOf(value)) constants.add(value);
      else if (!maker || maker.is('Range') || (maker.is('Cast') && !types.isFloat32(maker.input(0)))) fromInput = true;
      else if (maker.is('Cast') || isAngular(maker)) nodes.add(maker);
      else fromLayer = true;
    }
  return { nodes, constants, fromInput: fromInput && !fromLayer };
}

function isAngular(node: Node): boolean {
  if (node.domain !== '' || (!arithmetic.has(node.op) && !movers.has(node.op) && node.op !== 'Concat')) return false;
  return node.inputs.every((value) => elementCount(constantOf(value)?.shape ?? []) <= mostFrequencies);
}
