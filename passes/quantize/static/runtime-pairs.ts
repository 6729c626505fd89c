import type { Node } from '../../../src/ir/graph.ts';
import type { Shape } from '../../../src/ir/types.ts';
import type { Plan } from './plan.ts';
import { isSpreadPool } from './unit.ts';

/** What ONNX Runtime moves QuantizeLinear and DequantizeLinear over (QDQPropagation). */
const carriers: ReadonlySet<string> = new Set(['MaxPool', 'Reshape', 'Transpose', 'Squeeze', 'Unsqueeze', 'Slice']);

/**
 * Keeps ONNX Runtime 1.30 from what it does wrong to nodes in float behind integers. It cannot load what it makes of an AveragePool with dilations: what
 * stands before one stays in float, for scales by channel do not keep it from that. And it may end the process: it puts the pair that stands before one of these operators behind it too, and where a branch or
 * body captures that value, it writes beyond the list of inputs of the If, Loop or Scan. A DequantizeLinear with a scale for each channel is none that
 * it moves. Where no extent is known, or no such form is (`perAxis`, opset 13), what stands before stays in float.
 */
export function guardTraps(plan: Plan, perAxis: boolean): void {
  for (;;) {
    const left = new Map<Node, string>();
    const guarded = new Set<Node>();
    for (const unit of plan.units.values()) {
      if (!unit.needsOutput) continue;
      for (const output of unit.outputs)
        for (const reader of output.consumers) {
          if (isSpreadPool(reader)) left.set(unit.node, poolReason(reader));
          if (!isCarried(plan, reader)) continue;
          if (perAxis && guardAxis(output.shape) !== undefined) guarded.add(reader);
          else
            left.set(
              unit.node,
              `a branch or body reads what ${reader} makes of its result, and ONNX Runtime ends the process when it moves a DequantizeLinear there`,
            );
        }
    }
    plan.leave({ left, guarded });
    if (left.size === 0) return;
  }
}

/** Whether the node stays in float and hands its input on, as it is, to a graph inside. */
function isCarried(plan: Plan, first: Node): boolean {
  const carries = (node: Node): boolean => node.list === plan.graph && !plan.units.has(node) && carriers.has(node.op);
  const seen = new Set(carries(first) ? [first] : []);
  for (const node of seen)
    for (const reader of node.output().consumers) {
      if (reader.list !== plan.graph) return true;
      if (carries(reader)) seen.add(reader);
    }
  return false;
}

const poolReason = (pool: Node): string =>
  `${pool} reads its result, and has dilations: ONNX Runtime makes an integer operator of it that it cannot load`;

/**
 * Whether ONNX Runtime puts pairs of its own into the graph: behind or before what moves values and stays in float, and around the Gemm that it makes of
 * a MatMul of more than two axes and the Add behind it.
 */
export function getsPairs(plan: Plan): boolean {
  for (const node of plan.graph.nodes) {
    const isUnit = plan.units.has(node);
    if (
      node.domain === '' &&
      (isUnit ? node.op === 'MatMul' && node.input(0)?.shape?.length !== 2 : carriers.has(node.op))
    )
      return true;
  }
  return false;
}

/** An axis along which one scale for each index is another form than one for all: channels where they are several. */
export function guardAxis(shape: Shape | undefined): number | undefined {
  return [1, 0, ...(shape ?? []).keys()].find((axis) => typeof shape?.[axis] === 'number' && shape[axis] > 1);
}
