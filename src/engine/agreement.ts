import { numbersOf } from '../data/cast.ts';
import type { Model, Value } from '../ir/graph.ts';
import type { RuntimeAgreement } from '../report/evidence.ts';
import { compare, type Difference, type FeedBatches, toFidelity } from './compare.ts';
import type { Session } from './session.ts';

/** Operators that move values and leave them as they are. */
const moving = new Set([
  'Identity',
  'Reshape',
  'Flatten',
  'Squeeze',
  'Unsqueeze',
  'Transpose',
  'Slice',
  'Gather',
  'Concat',
]);
/** A chain of more is not looked at. */
const farthest = 16;

/**
 * The size of a quantization step of outputs that come straight out of a DequantizeLinear, by output; the smallest where
 * channels have their own.
 */
export function outputSteps(model: Model): ReadonlyMap<string, number> {
  const steps = new Map<string, number>();
  for (const output of model.graph.outputs) {
    const step = stepOf(output);
    if (step !== undefined) steps.set(output.name, step);
  }
  return steps;
}

function stepOf(output: Value): number | undefined {
  let value: Value | undefined = output;
  for (let hop = 0; hop < farthest && value; hop++) {
    const node: Value['producer'] = value.producer;
    if (!node) return undefined;
    if (node.op === 'DequantizeLinear') {
      const scale = node.input(1)?.constant;
      if (!scale) return undefined;
      const scales = [...numbersOf(scale)].filter((one) => one > 0);
      return scales.length === 0 ? undefined : Math.min(...scales);
    }
    if (!moving.has(node.op)) return undefined;
    value = node.input(0);
  }
  return undefined;
}

/**
 * The same file on two runtimes, same inputs: classes that agree, the largest difference, and how many quantization
 * steps that is.
 * @param steps of `outputSteps`
 */
export async function agreeAcross(
  cpu: Session,
  other: Session,
  batches: FeedBatches,
  steps: ReadonlyMap<string, number>,
  signal?: AbortSignal,
): Promise<RuntimeAgreement> {
  const comparison = await compare(cpu, other, batches, signal);
  const { agreement, maxAbs, sqnrDb, samples } = toFidelity(comparison);
  const inSteps = comparison.outputs.flatMap((output) => stepsOff(output, steps) ?? []);
  return { samples, agreement, maxAbs, sqnrDb, ...(inSteps.length > 0 && { maxSteps: Math.max(...inSteps) }) };
}

function stepsOff(output: Difference, steps: ReadonlyMap<string, number>): number | undefined {
  if (output.steps) return output.steps.max;
  const step = steps.get(output.name);
  if (step === undefined || !Number.isFinite(output.maxAbs)) return undefined;
  // Rounding of the multiplication must not turn one step into 1.0000001.
  return Number((output.maxAbs / step).toFixed(3));
}
