import { constantOf } from '../../src/ir/constant.ts';
import { graphsBelow, type Model, type Node } from '../../src/ir/graph.ts';
import { sortTopologically } from '../../src/ir/sort.ts';
import { opt } from '../../src/pass/options.ts';
import { definePass, lossy, type PassContext } from '../../src/pass/pass.ts';
import { reportUnmatched } from '../../src/rewrite/keep.ts';
import { angleNodes, angleReason } from './fp16/angles.ts';
import { convert } from './fp16/convert.ts';
import { ElementTypes } from './fp16/element-types.ts';
import { allNodes, keepForFidelity } from './fp16/fidelity.ts';
import { float16 } from './fp16/format.ts';
import { inputScaling } from './fp16/input-scaling.ts';
import { normsBehindCasts } from './fp16/norm-behind-cast.ts';
import { Plan } from './fp16/plan.ts';
import { rangedNodes } from './fp16/ranges.ts';
import { simulateHalf } from './fp16/simulate.ts';
import { squareNorms, squareReason } from './fp16/square-norms.ts';
import { float32First } from './linear.ts';
import { inlineRule, openLayers } from './static/open-functions.ts';

const options = {
  keepIoTypes: opt.boolean(true, 'inputs and outputs of the model stay float32'),
  keep: opt.list([], 'names of nodes, or operators, that stay in float32'),
  minSqnr: opt.number(
    0,
    'keep the fewest nodes in float32 with which every output has so many decibels of signal over noise, measured on the data or else on made-up inputs; 0: do not measure',
    { min: 0, max: 120 },
  ),
  maxReduction: opt.int(2048, 'sums of more values than this stay in float32; 0: no limit', { min: 0 }),
} as const;

/** Half precision: half the size everywhere, faster on GPUs, no faster on CPUs. */
export const toFp16 = definePass({
  id: 'to-fp16',
  summary: 'Float16 weights and arithmetic: half the size; faster on GPUs, the same speed on CPUs',
  options,
  rules: {
    inline: inlineRule,
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
    range:
      'Constants, activations, angles and squares that float16 cannot hold, and normalizations that ONNX Runtime would join with a Cast',
    reduction: 'Sums of too many values',
    fidelity: 'Nodes without which --min-sqnr would not be reached, and what is reached',
  },
  // Measured on some inputs, promised for others.
  numerics: ({ minSqnr }) => lossy(Math.max(40, minSqnr - 10)),
  async run(model, given, ctx) {
    const opened = openLayers(model, ctx);
    sortTopologically(model.graph);
    const types = new ElementTypes(model);
    const mixed = mixedPrecision(model, types);
    if (mixed) {
      ctx.skipped('mixed', 'model', mixed);
      return { changed: opened };
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
    const ranged = new Map<Node, string>();
    for (const node of squareNorms(model)) ranged.set(node, squareReason);
    for (const node of angleNodes(model, types).nodes) ranged.set(node, angleReason);
    if (ctx.activations)
      for (const [node, why] of await rangedNodes(model, types, ctx.activations)) ranged.set(node, why);
    const planFor = (of: Model, ofTypes: ElementTypes, why: ReadonlyMap<Node, string>): Plan =>
      new Plan(of, ofTypes, {
        keep: given.keep,
        maxReduction: given.maxReduction,
        format: float16,
        keepIo: given.keepIoTypes,
        ranged: why,
        scaling: given.keepIoTypes ? inputScaling(of, ofTypes) : new Set(),
      });
    let reasons: ReadonlyMap<Node, string> = ranged;
    let plan = planFor(model, types, reasons);
    if (given.minSqnr > 0) {
      const kept = await fidelityNodes(model, plan, ranged, given.minSqnr, planFor, ctx);
      reasons = new Map([...ranged, ...kept]);
      plan = planFor(model, types, reasons);
      for (const [node, why] of kept) ctx.skipped('fidelity', node, why);
    }
    // Each one that stays may bring the next before a Cast.
    for (let found = normsBehindCasts(plan); found.size > 0; found = normsBehindCasts(plan)) {
      reasons = new Map([...reasons, ...found]);
      plan = planFor(model, types, reasons);
    }
    let changed =
      !given.keepIoTypes &&
      [...model.graph.inputs, ...model.graph.outputs].some(
        (value) => types.isFloat32(value) && value.initializer === undefined,
      );
    for (const [node, { why, rule }] of plan.classes) {
      if (why && !why.endsWith('(--min-sqnr)')) ctx.skipped(rule ?? 'schema', node, why);
      if (plan.isHalfNode(node)) changed = true;
    }
    if (changed && isElsewhere(plan) && !savesBytes(plan, types)) {
      ctx.skipped(
        'gain',
        'model',
        'its weights are quantized or in trees, and what computes in float32 holds none that float16 would make smaller',
      );
      return { changed: opened };
    }
    if (changed) convert(model, plan, types, float16, ctx);
    else if ([...model.graph.initializers].some(({ dtype }) => dtype === 'float64'))
      ctx.skipped('gain', 'model', `its weights are float64, not float32${float32First('float64')}`);
    return { changed: changed || opened };
  },
});

/** Samples that fidelity is measured on. */
const judged = 8;

/** Nodes that --min-sqnr keeps in float32. */
async function fidelityNodes(
  model: Model,
  plan: Plan,
  ranged: ReadonlyMap<Node, string>,
  minSqnr: number,
  planFor: (model: Model, types: ElementTypes, kept: ReadonlyMap<Node, string>) => Plan,
  ctx: PassContext,
): Promise<Map<Node, string>> {
  const activations = ctx.activations ?? ctx.madeUpActivations;
  if (!activations) {
    ctx.skipped('fidelity', 'model', 'there are no inputs to measure on: give a folder of samples with --data');
    return new Map();
  }
  const nodes = allNodes(model);
  const place = new Map(nodes.map((node, at) => [node, at]));
  const half = nodes.flatMap((node, at) => (plan.classes.get(node)?.kind === 'half' ? [at] : []));
  const planOf = (copy: Model, kept: ReadonlySet<number>): { plan16: Plan; types: ElementTypes } => {
    const own = allNodes(copy);
    const why = new Map<Node, string>();
    for (const at of kept) if (own[at]) why.set(own[at], 'kept');
    for (const [node, reason] of ranged) {
      const twin = own[place.get(node) ?? -1];
      if (twin) why.set(twin, reason);
    }
    const types = new ElementTypes(copy);
    return { plan16: planFor(copy, types, why), types };
  };
  const build = (copy: Model, kept: ReadonlySet<number>, how: 'simulated' | 'converted'): void => {
    const { plan16, types } = planOf(copy, kept);
    if (how === 'simulated') simulateHalf(plan16, types);
    else convert(copy, plan16, types, float16, { applied: () => undefined, skipped: () => undefined });
  };
  const { kept, before, after, best, measurements } = await keepForFidelity(model, half, activations.layers, build, {
    minSqnr,
    samples: judged,
    saves: (kept) => {
      const { plan16, types } = planOf(model, kept);
      return savesBytes(plan16, types);
    },
    signal: ctx.signal,
  });
  const where = activations.source === 'data' ? 'the data' : 'made-up inputs';
  if (after < minSqnr)
    ctx.skipped(
      'fidelity',
      'model',
      `no plan that was tried reaches ${minSqnr} dB with a node in float16: this one, the best of them, reaches ${after.toFixed(1)} dB`,
    );
  else if (kept.size === half.length && half.length > 0)
    ctx.skipped(
      'fidelity',
      'model',
      `every node stays in float32: no plan that was tried comes near ${minSqnr} dB, the best reaches ${best.toFixed(1)} dB`,
    );
  ctx.applied(
    'fidelity',
    'model',
    kept.size === 0
      ? `${before.toFixed(1)} dB on ${where} with every node that can be in float16`
      : `${before.toFixed(1)} → ${Number.isFinite(after) ? after.toFixed(1) : 'all'} dB on ${where} with ${kept.size} of ${half.length} nodes kept in float32, found in ${measurements} measurements`,
  );
  return new Map([...kept].flatMap(([at, why]) => (nodes[at] ? [[nodes[at], why] as const] : [])));
}

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
