import type { Node, Value } from '../../../src/ir/graph.ts';
import type { Known } from '../known.ts';
import { localRule } from '../local-rule.ts';

/** Operands of no length along the axis add nothing (ONNX Concat: all other dimensions agree). */
export const concatEmpty = localRule(
  'concat-empty',
  'Concat with operands of length 0: without them',
  ['Concat'],
  (node, known) => {
    const axis = axisOf(node, known);
    const inputs = node.inputs.filter((value): value is Value => value !== undefined);
    if (axis === undefined || inputs.length !== node.inputs.length || inputs.length < 2) return undefined;
    const kept = inputs.filter((value) => known.shape(value)?.[axis] !== 0);
    if (kept.length === inputs.length || kept.length === 0) return undefined;
    return {
      detail: `${inputs.length - kept.length} of ${inputs.length} operands are empty`,
      make: (edit) => edit.insertLike(node, { inputs: kept }),
    };
  },
);

/** Concat(a, Concat(b, c)) along the same axis: Concat(a, b, c). */
export const concatChain = localRule(
  'concat-chain',
  'Concat of a Concat along the same axis: one Concat',
  ['Concat'],
  (node, known) => {
    const axis = axisOf(node, known);
    const inputs: (Value | undefined)[] = [];
    let merged = 0;
    let why: string | undefined;
    for (const value of node.inputs) {
      const inner = value?.producer;
      if (!value || !inner?.is('Concat') || inner.graph !== node.graph) {
        inputs.push(value);
      } else if (axis === undefined || axisOf(inner, known) !== axis) {
        why ??= `${inner} joins along another axis`;
        inputs.push(value);
      } else if (value.isGraphOutput || value.consumers.length > 1) {
        why ??= `"${value.name}" is used elsewhere too`;
        inputs.push(value);
      } else {
        inputs.push(...inner.inputs);
        merged++;
      }
    }
    if (merged === 0) return why === undefined ? undefined : { why };
    return { detail: `${inputs.length} operands`, make: (edit) => edit.insertLike(node, { inputs }) };
  },
);

/** The axis as a non-negative number; undefined when it counts from the end and the rank is unknown. */
function axisOf(node: Node, known: Known): number | undefined {
  const axis = node.int('axis', 1);
  if (axis >= 0) return axis;
  const rank = [...node.outputs, ...node.inputs].map((value) => known.rank(value)).find((value) => value !== undefined);
  return rank === undefined ? undefined : axis + rank;
}
