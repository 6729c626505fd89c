import { constantOf } from '../../src/ir/constant.ts';
import { graphsBelow, type Model } from '../../src/ir/graph.ts';
import { sortTopologically } from '../../src/ir/sort.ts';
import { opt } from '../../src/pass/options.ts';
import { definePass, lossy } from '../../src/pass/pass.ts';
import { reportUnmatched } from '../../src/rewrite/keep.ts';
import { convert } from './fp16/convert.ts';
import { ElementTypes } from './fp16/element-types.ts';
import { inputScaling } from './fp16/input-scaling.ts';
import { Plan } from './fp16/plan.ts';
import { rangedNodes } from './fp16/ranges.ts';

const options = {
  keepIoTypes: opt.boolean(true, 'inputs and outputs of the model stay float32'),
  keep: opt.list([], 'names of nodes, or operators, that stay in float32'),
  maxReduction: opt.int(2048, 'sums of more values than this stay in float32; 0: no limit', { min: 0 }),
} as const;

/** Half precision: half the size everywhere, faster on GPUs, no faster on CPUs. */
export const toFp16 = definePass({
  id: 'to-fp16',
  summary: 'Float16 weights and arithmetic: half the size; faster on GPUs, the same speed on CPUs',
  options,
  rules: {
    half: 'The node computes in float16',
    cast: 'A value crosses from one precision into the other',
    constant: 'A constant is stored in float16',
    clamp: 'Constants beyond the range of float16 become its largest or smallest number',
    keep: 'Nodes that you asked to keep',
    override: 'Initializers that are graph inputs too',
    mixed: 'Models that are in mixed precision already stay as they are',
    'block-list': 'Operators that runtimes do not compute well in float16',
    schema: 'Operators without a float16 form at the model’s opset',
    sequence: 'Sequences and optionals keep their element type',
    type: 'Values whose type is not known',
    gain: 'Models without float32 weights stay as they are',
    quantized: 'Parts of 8-bit arithmetic stay float32',
    input: 'Shifts and scales of the model’s inputs stay float32',
    range: 'Constants or activations that float16 cannot hold',
    reduction: 'Sums of too many values',
  },
  numerics: () => lossy(40),
  async run(model, given, ctx) {
    sortTopologically(model.graph);
    const types = new ElementTypes(model);
    const mixed = mixedPrecision(model, types);
    if (mixed) {
      ctx.skipped('mixed', 'model', mixed);
      return { changed: false };
    }
    reportUnmatched(model, given.keep, ctx);
    for (const value of model.graph.inputs) {
      if (value.initializer && !value.constant && types.isFloat32(value)) {
        ctx.skipped(
          'override',
          `"${value.name}"`,
          'it is an initializer that a caller may replace, so it stays as it is: make it a plain initializer',
        );
      }
    }
    const ranged = ctx.activations ? await rangedNodes(model, types, ctx.activations) : new Map();
    const plan = new Plan(model, types, {
      keep: given.keep,
      maxReduction: given.maxReduction,
      keepIo: given.keepIoTypes,
      ranged,
      scaling: given.keepIoTypes ? inputScaling(model, types) : new Set(),
    });
    let changed =
      !given.keepIoTypes &&
      [...model.graph.inputs, ...model.graph.outputs].some(
        (value) => types.isFloat32(value) && value.initializer === undefined,
      );
    for (const [node, { why, rule }] of plan.classes) {
      if (why) ctx.skipped(rule ?? 'schema', node, why);
      if (plan.isHalfNode(node)) changed = true;
    }
    if (changed && isElsewhere(plan) && !savesBytes(plan, types)) {
      ctx.skipped(
        'gain',
        'model',
        'its weights are quantized or in trees, and what computes in float32 holds none that float16 would make smaller',
      );
      return { changed: false };
    }
    if (changed) convert(model, plan, types, ctx);
    return { changed };
  },
});

/** What the model has learned stands in quantized weights or in the attributes of ai.onnx.ml operators. */
const isElsewhere = (plan: Plan): boolean =>
  [...plan.classes].some(([node, { rule }]) => rule === 'quantized' || node.domain === 'ai.onnx.ml');

/** Some node reads a constant that would be stored in half. */
function savesBytes(plan: Plan, types: ElementTypes): boolean {
  return [...plan.classes.keys()].some((node) =>
    node.inputs.some(
      (value, index) =>
        types.isFloat32(value) &&
        (constantOf(value)?.byteLength ?? 0) > 64 &&
        plan.demandOfInput(node, index) === 'half',
    ),
  );
}

/** A model that casts activations between float32 and float16 was made so by somebody who knew why. */
function mixedPrecision(model: Model, types: ElementTypes): string | undefined {
  for (const graph of graphsBelow(model.graph)) {
    for (const node of graph.nodes) {
      const input = node.input(0);
      if (!node.is('Cast') || !input || constantOf(input)) continue;
      const [from, to] = [types.of(input), types.of(node.outputs[0])];
      if ((from === 'float32' && to === 'float16') || (from === 'float16' && to === 'float32')) {
        return `the model is in mixed precision already: ${node} casts from ${from} to ${to}; convert the float32 original instead`;
      }
    }
  }
  return undefined;
}
