import { constantNumbers } from '../ir/constant.ts';
import type { Node, Value } from '../ir/graph.ts';

/** Ops that hand their first input's elements on unchanged (or merely renumbered in shape or type). */
const carriers = new Set([
  'Cast',
  'Identity',
  'Reshape',
  'Unsqueeze',
  'Squeeze',
  'Flatten',
  'Transpose',
  'Slice',
  'Expand',
  'Tile',
  'Clip',
  'Concat',
]);
const comparisons = new Set(['Equal', 'Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual']);

/**
 * Extents of the tables that an integer input indexes (embeddings, Gather along any axis), smallest first: token ids
 * must stay below the first. Followed through casts and reshapes, and into subgraphs.
 */
export function indexedExtents(input: Value): number[] {
  const extents: number[] = [];
  follow(input, (node, index) => {
    if ((node.op === 'Gather' || node.op === 'GatherElements' || node.op === 'GatherBlockQuantized') && index === 1) {
      const extent = tableExtent(node);
      if (extent !== undefined) extents.push(extent);
    }
    if (node.op === 'OneHot' && index === 0) extents.push(...(constantNumbers(node.input(1)) ?? []));
    if (node.op === 'EmbedLayerNormalization') extents.push(...embedExtents(node, index));
  });
  return extents.sort((a, b) => a - b);
}

/** Constants that a scalar input is compared with, in the order of the graph: the values it is meant to take. */
export function comparedConstants(input: Value): number[] {
  const constants: number[] = [];
  follow(input, (node, index) => {
    if (!comparisons.has(node.op)) return;
    const other = constantNumbers(node.input(1 - index), 16);
    constants.push(...(other ?? []));
  });
  return [...new Set(constants)];
}

/** Whether an input says how often a Loop goes round. */
export function countsRounds(input: Value): boolean {
  let counts = false;
  follow(input, (node, index) => {
    counts ||= node.domain === '' && node.op === 'Loop' && index === 0;
  });
  return counts;
}

function follow(input: Value, visit: (node: Node, index: number) => void): void {
  const seen = new Set<Value>([input]);
  const pending = [input];
  for (let value = pending.pop(); value; value = pending.pop()) {
    for (const { node, index } of value.uses) {
      visit(node, index);
      const carried =
        node.domain === '' && carriers.has(node.op) && (index === 0 || node.op === 'Concat')
          ? node.outputs[0]
          : undefined;
      if (carried && !seen.has(carried)) {
        seen.add(carried);
        pending.push(carried);
      }
    }
  }
}

function tableExtent(node: Node): number | undefined {
  const axis = node.int('axis') ?? node.int('gather_axis', 0);
  let table = node.input(0);
  // Quantized tables stand behind a DequantizeLinear or a Cast.
  for (let hops = 0; table && !table.shape && hops < 4; hops++) table = table.producer?.input(0);
  const shape = table?.shape;
  const dim = shape?.at(axis);
  return typeof dim === 'number' ? dim : undefined;
}

function embedExtents(node: Node, index: number): number[] {
  const table = node.input(index === 0 ? 2 : index === 1 ? 4 : 3)?.shape?.[0];
  return typeof table === 'number' ? [table] : [];
}
