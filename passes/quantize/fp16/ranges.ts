import { constantOf } from '../../../src/ir/constant.ts';
import type { Model, Node, Value } from '../../../src/ir/graph.ts';
import type { ActivationRange, Activations } from '../../../src/pass/pass.ts';
import { operatorKey, sensitiveInputs } from './blocked.ts';
import type { ElementTypes } from './element-types.ts';

/** Values beyond an eighth of the largest half leave too little room for what the samples did not show. */
const largest = 65504 / 8;
const largestSensitive = 512;

/** Nodes of the main graph that measured activations keep in float32, with the reason. */
export async function rangedNodes(
  model: Model,
  types: ElementTypes,
  activations: Activations,
): Promise<Map<Node, string>> {
  const values: Value[] = [];
  for (const value of model.graph.inputs) if (types.isFloat32(value) && !value.constant) values.push(value);
  for (const node of model.graph.nodes) {
    for (const output of node.outputs)
      if (output && types.isFloat32(output) && !constantOf(output)) values.push(output);
  }
  const ranges = await activations.ranges(model, values);
  const kept = new Map<Node, string>();
  for (const node of model.graph.nodes) {
    const why = nodeProblem(node, ranges);
    if (why) kept.set(node, why);
  }
  return kept;
}

function nodeProblem(node: Node, ranges: ReadonlyMap<string, ActivationRange>): string | undefined {
  for (const value of node.outputs) {
    const why = value && rangeProblem(value, ranges.get(value.name), largest);
    if (why) return why;
  }
  const sensitive = sensitiveInputs.has(operatorKey(node));
  for (const value of node.inputs) {
    const why = value && rangeProblem(value, ranges.get(value.name), sensitive ? largestSensitive : largest);
    if (why) return sensitive ? `${why}, and ${node.op} is sensitive to it` : why;
  }
  return undefined;
}

function rangeProblem(value: Value, range: ActivationRange | undefined, limit: number): string | undefined {
  if (!range) return undefined;
  const { nan, inf, max, absMax } = range;
  if (nan === 0 && inf === 0 && absMax <= limit) return undefined;
  if (max <= limit && nan === 0 && isMask(value)) return undefined;
  if (nan > 0 || inf > 0) return `"${value.name}" was NaN or infinite on the samples`;
  return `"${value.name}" reaches ${absMax.toPrecision(4)} on the samples, more than ${Math.round(limit)}`;
}

/** Operators that carry an additive mask to its Softmax. */
const maskPath = new Set([
  'Add',
  'Sub',
  'Mul',
  'Where',
  'Cast',
  'Expand',
  'Unsqueeze',
  'Reshape',
  'Transpose',
  'Slice',
  'Concat',
  'Identity',
]);

/** Large negative values on the way to a Softmax mean "not this one": clamped, they mean the same. */
function isMask(value: Value, steps = 8): boolean {
  if (steps === 0 || value.isGraphOutput || !value.isUsed) return false;
  return value.consumers.every(
    (node) =>
      node.is('Softmax') ||
      (maskPath.has(node.op) && node.outputs.every((output) => !output || isMask(output, steps - 1))),
  );
}
