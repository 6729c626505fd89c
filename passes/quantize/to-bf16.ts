import { constantOf } from '../../src/ir/constant.ts';
import { graphsBelow, type Model, type Value } from '../../src/ir/graph.ts';
import { irVersionOf, upgradeOpset } from '../../src/ir/opset-upgrade.ts';
import { sortTopologically } from '../../src/ir/sort.ts';
import { type OptionValues, opt } from '../../src/pass/options.ts';
import { definePass, lossy, type PassContext } from '../../src/pass/pass.ts';
import { isKept, reportUnmatched } from '../../src/rewrite/keep.ts';
import { modernizeInputs } from '../../src/rewrite/modernize-inputs.ts';
import { angleNodes, angleReason } from './fp16/angles.ts';
import { convert } from './fp16/convert.ts';
import { ElementTypes } from './fp16/element-types.ts';
import { bfloat16 } from './fp16/format.ts';
import { inputScaling } from './fp16/input-scaling.ts';
import { Plan } from './fp16/plan.ts';
import { readsScales } from './fp16/quantized-unit.ts';
import { storeWithCasts } from './fp16/store-casts.ts';

const options = {
  arithmetic: opt.choice(
    ['float32', 'bfloat16'],
    'float32',
    'float32: weights are stored in bfloat16 and cast back, which ONNX Runtime loads on the CPU; bfloat16: nodes compute in it, for CUDA and TensorRT alone',
  ),
  keepIoTypes: opt.boolean(true, 'inputs and outputs of the model stay float32'),
  keep: opt.list([], 'names of nodes, or operators, that stay in float32'),
  maxReduction: opt.int(
    2048,
    'with --arithmetic bfloat16: sums of more values than this stay in float32; 0: no limit',
    { min: 0 },
  ),
} as const;

/** Casts from bfloat16 came with opset 13. */
const castOpset = 13;
/** Conv, pooling and others took bfloat16 with opset 22. */
const computeOpset = 22;

/** bfloat16: half the size with the range of float32, and three digits. */
export const toBf16 = definePass({
  id: 'to-bf16',
  summary:
    'BFloat16 weights: half the size and no overflow, but three digits only; arithmetic in float32, or in bfloat16 on GPUs',
  options,
  rules: {
    'ir-version': 'IR versions before 4: raised, since initializers need not be inputs from then on',
    'constant-input': 'Initializers that old versions list as inputs, too',
    opset: 'The opset is raised, for operators that take bfloat16',
    stored: 'A constant is stored in bfloat16, with a Cast back to float32',
    half: 'The node computes in bfloat16',
    cast: 'A value crosses from one precision into the other',
    constant: 'A constant is stored in bfloat16',
    cpu: 'What the file asks of a runtime',
    keep: 'Nodes that you asked to keep',
    override: 'Initializers that are graph inputs too',
    mixed: 'Models with bfloat16 in them stay as they are',
    'block-list': 'Operators that runtimes do not compute well in 16 bits',
    schema: 'Operators without a bfloat16 form at the model’s opset',
    sequence: 'Sequences and optionals keep their element type',
    type: 'Values whose type is not known',
    quantized: 'Parts of 8-bit arithmetic stay float32',
    input: 'Shifts and scales of the model’s inputs stay float32',
    range: 'Angles made of positions or times',
    reduction: 'Sums of too many values',
  },
  // 8 bits of mantissa: a rounding error of 2⁻⁹ at most, 54 dB for one rounding, about 30 for a deep network.
  numerics: () => lossy(20),
  run(model, given, ctx) {
    sortTopologically(model.graph);
    const there = bfloat16In(model);
    if (there) {
      ctx.skipped('mixed', 'model', `"${there}" is bfloat16 already: convert the float32 original instead`);
      return { changed: false };
    }
    reportUnmatched(model, given.keep, ctx);
    for (const value of model.graph.inputs) {
      if (value.initializer && !value.constant && value.dtype === 'float32')
        ctx.skipped(
          'override',
          `"${value.name}"`,
          'it is an initializer that a caller may replace, so it stays as it is: make it a plain initializer',
        );
    }
    if (given.arithmetic === 'bfloat16') return compute(model, given, ctx);
    const from = model.opset;
    const tooOld = upgradeOpset(model, castOpset);
    if (tooOld) {
      ctx.skipped('opset', 'model', `${tooOld}; Cast knows bfloat16 from opset ${castOpset} on`);
      return { changed: false };
    }
    const angles = angleNodes(model, new ElementTypes(model)).constants;
    for (const { name } of angles) ctx.skipped('range', `"${name}"`, angleReason);
    const modernized = modernizeInputs(model, ctx);
    if (modernized) model.irVersion = Math.max(model.irVersion, irVersionOf(model.opset));
    const keep = (value: Value): boolean => {
      if (angles.has(value) || value.consumers.some((node) => isKept(node, given.keep))) return true;
      const reader = value.consumers.find(readsScales);
      if (reader)
        ctx.skipped(
          'quantized',
          `"${value.name}"`,
          `${reader} reads its scales from it, which kernels take as constants alone`,
        );
      return reader !== undefined;
    };
    const changed = storeWithCasts(model, bfloat16, keep, ctx);
    if (model.opset > from) ctx.applied('opset', 'model', `opset ${from} → ${model.opset}`);
    return { changed: changed || modernized || model.opset > from };
  },
});

type Given = OptionValues<typeof options>;

function compute(model: Model, given: Given, ctx: PassContext): { changed: boolean } {
  const from = model.opset;
  const tooOld = upgradeOpset(model, computeOpset);
  if (tooOld)
    ctx.skipped('opset', 'model', `${tooOld}; some operators take bfloat16 from opset ${computeOpset} on only`);
  const types = new ElementTypes(model);
  const plan = new Plan(model, types, {
    format: bfloat16,
    keep: given.keep,
    maxReduction: given.maxReduction,
    keepIo: given.keepIoTypes,
    ranged: new Map([...angleNodes(model, types).nodes].map((node) => [node, angleReason])),
    scaling: given.keepIoTypes ? inputScaling(model, types) : new Set(),
  });
  let computing = 0;
  for (const [node, { why, rule }] of plan.classes) {
    if (why) ctx.skipped(rule ?? 'schema', node, why);
    if (plan.isHalfNode(node)) computing++;
  }
  const raised = model.opset > from;
  if (raised) ctx.applied('opset', 'model', `opset ${from} → ${model.opset}`);
  if (computing === 0) return { changed: raised };
  convert(model, plan, types, bfloat16, ctx);
  ctx.skipped(
    'cpu',
    'model',
    `${computing} nodes compute in bfloat16, for most of which ONNX Runtime has no kernel on the CPU and in browsers: the file loads on CUDA and TensorRT (--arithmetic float32 makes one that needs no such kernels but the Cast)`,
  );
  return { changed: true };
}

/** A value that is bfloat16. */
function bfloat16In(model: Model): string | undefined {
  for (const graph of graphsBelow(model.graph)) {
    for (const value of [...graph.inputs, ...graph.initializers]) if (value.dtype === 'bfloat16') return value.name;
    for (const node of graph.nodes)
      for (const value of node.outputs)
        if (value && (value.dtype === 'bfloat16' || constantOf(value)?.dtype === 'bfloat16')) return value.name;
  }
  return undefined;
}
