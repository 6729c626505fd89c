import { constantOf } from '../../../src/ir/constant.ts';
import { graphsBelow, type Model, type Node, type Value } from '../../../src/ir/graph.ts';
import type { ActivationRange, Activations } from '../../../src/pass/pass.ts';
import { chainTo, isPeriodic } from './angles.ts';
import { operatorKey, sensitiveInputs } from './blocked.ts';
import type { ElementTypes } from './element-types.ts';
import { reducedTerms } from './reductions.ts';

/** Values beyond an eighth of the largest half leave too little room for what the samples did not show. */
const largest = 65504 / 8;
const largestSensitive = 512;
/** An angle of 32 is off by a 64th of a radian. */
const largestAngle = 32;

/** Nodes of the main graph and of branches and bodies that measured activations keep in float32, with the reason. */
export async function rangedNodes(
  model: Model,
  types: ElementTypes,
  activations: Activations,
): Promise<Map<Node, string>> {
  const nodes = [...graphsBelow(model.graph)].flatMap(({ nodes: own }) => [...own]);
  const values: Value[] = [];
  for (const value of model.graph.inputs) if (types.isFloat32(value) && !value.constant) values.push(value);
  for (const node of nodes)
    for (const output of node.outputs)
      if (output && types.isFloat32(output) && !constantOf(output)) values.push(output);
  const alone = onceNamed(values, nodes);
  const ranges = await activations.ranges(model, alone);
  const known = new Map(alone.flatMap((value) => [[value, ranges.get(value.name)] as const]));
  const kept = new Map<Node, string>();
  for (const node of nodes) {
    const why = nodeProblem(node, known) ?? sumProblem(node, types, known);
    if (why) kept.set(node, why);
    const [angle] = isPeriodic(node) ? node.inputs : [];
    const tooLarge = angle && rangeProblem(angle, known.get(angle), largestAngle);
    if (tooLarge) for (const one of chainTo(node, types).nodes) kept.set(one, tooLarge);
  }
  return kept;
}

/** Branches may use a name twice; what is measured is known by its name alone. */
function onceNamed(values: readonly Value[], nodes: readonly Node[]): Value[] {
  const counts = new Map<string, number>();
  for (const output of nodes.flatMap(({ outputs }) => outputs))
    if (output) counts.set(output.name, (counts.get(output.name) ?? 0) + 1);
  return values.filter(({ name }) => (counts.get(name) ?? 0) <= 1);
}

type Ranges = ReadonlyMap<Value, ActivationRange | undefined>;

function nodeProblem(node: Node, ranges: Ranges): string | undefined {
  for (const value of node.outputs) {
    const why = value && rangeProblem(value, ranges.get(value), largest);
    if (why) return why;
  }
  const sensitive = sensitiveInputs.has(operatorKey(node));
  for (const value of node.inputs) {
    const why = value && rangeProblem(value, ranges.get(value), sensitive ? largestSensitive : largest);
    if (why) return sensitive ? `${why}, and ${node.op} is sensitive to it` : why;
  }
  return undefined;
}

/**
 * Sums that a reduction makes on its way, where its output tells what they come to: a mean is a sum divided, a length the root of one. A
 * runtime that adds up in half overflows there, however small the output.
 */
function sumProblem(node: Node, types: ElementTypes, ranges: Ranges): string | undefined {
  const output = node.outputs[0];
  const range = output && ranges.get(output);
  if (!range) return undefined;
  const sum =
    node.is('ReduceMean') || node.is('GlobalAveragePool')
      ? range.absMax * (reducedTerms(node, types) ?? 0)
      : node.is('ReduceL2')
        ? range.absMax ** 2
        : 0;
  if (sum <= largest) return undefined;
  return `the sum that it makes on its way to "${output.name}" reaches ${sum.toPrecision(4)} on the samples, more than ${Math.round(largest)}`;
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
