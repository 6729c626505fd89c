import { constantOf } from '../../../src/ir/constant.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import type { Plan } from './plan.ts';

const why =
  'ONNX Runtime 1.30 makes a LayerNormalization of these nodes and the Cast that would stand before them, with two types, and cannot load it';

/** What a normalization that is spelled out consists of behind its first difference. */
const parts: ReadonlySet<string> = new Set(['Sub', 'Pow', 'Mul', 'ReduceMean', 'Add', 'Sqrt', 'Div', 'Reciprocal']);
/** Of LayerNormalization spelled out, and some more: what follows it may be of the same operators. */
const longest = 12;

/**
 * Normalizations over float32 values that nothing else reads in float16: ONNX Runtime's LayerNormFusion takes a Cast to float16 for the one from
 * float16 that mixed-precision training writes there, drops it, and joins a float32 input to float16 scales. They stay in float32, which is what they
 * are best computed in anyway.
 * @returns nodes to keep, with the reason
 */
export function normsBehindCasts(plan: Plan): Map<Node, string> {
  const kept = new Map<Node, string>();
  for (const [mean, { kind }] of plan.classes) {
    const x = mean.input(0);
    if (kind !== 'half' || mean.op !== 'ReduceMean' || !x || constantOf(x) || plan.precisionOf(x) !== 'float') continue;
    const halves = x.uses.filter(({ node, index }) => plan.demandOfInput(node, index) === 'half');
    const differences = halves.map(({ node }) => node).filter((node) => node !== mean);
    if (
      differences.length === 0 ||
      !differences.every((node) => node.op === 'Sub' && node.inputs.includes(mean.outputs[0]))
    )
      continue;
    for (const node of [mean, ...formula(differences)]) kept.set(node, why);
  }
  return kept;
}

/** The nodes behind the differences that read nothing but them, each other and constants. */
function formula(differences: readonly Node[]): Set<Node> {
  const found = new Set(differences);
  const isOwn = (value: Value | undefined): boolean =>
    value === undefined ||
    constantOf(value) !== undefined ||
    (value.producer !== undefined && found.has(value.producer));
  for (const node of found)
    for (const output of node.outputs)
      for (const reader of output?.consumers ?? [])
        if (found.size < longest && reader.list === node.list && parts.has(reader.op) && reader.inputs.every(isOwn))
          found.add(reader);
  return found;
}
