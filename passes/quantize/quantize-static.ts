import { bug, UserError } from '../../src/errors.ts';
import { cloneModel } from '../../src/ir/clone.ts';
import { type Graph, graphsBelow, type Model, type Node, type Value } from '../../src/ir/graph.ts';
import { upgradeOpset } from '../../src/ir/opset-upgrade.ts';
import { calibrators, countsFor } from '../../src/kernels/calibrate.ts';
import type { Histogram } from '../../src/kernels/histogram.ts';
import type { Affine } from '../../src/kernels/quantize.ts';
import { opt } from '../../src/pass/options.ts';
import { type Activations, definePass, lossy, type PassContext, type Trace } from '../../src/pass/pass.ts';
import { constantCopyRule, readThroughCopies } from '../../src/rewrite/constant-copies.ts';
import { toFixedPoint, walk } from '../../src/rewrite/driver.ts';
import { provenanceKey } from '../../src/rewrite/edit.ts';
import { isKept, keepRule, reportUnmatched } from '../../src/rewrite/keep.ts';
import { clipClip } from '../fuse/clip-clip.ts';
import { maxMinClip } from '../fuse/max-min-clip.ts';
import { cpuProfiles } from './cpu.ts';
import { embeddingRule } from './dynamic/embedding.ts';
import { storeRest } from './dynamic/stored.ts';
import { logarithmBehind } from './logarithm.ts';
import { fillInputs } from './static/fill-inputs.ts';
import { fillResizes, fullResizeSummary, guardNamedAxes } from './static/full-resize.ts';
import { headsAsGemms, headsOf } from './static/head-as-gemm.ts';
import { insertQdq } from './static/insert.ts';
import { fitKernels, formRules, inputsToFill } from './static/kernel-forms.ts';
import { channelAxes, largestCodes } from './static/largest-codes.ts';
import { openFunctions } from './static/open-functions.ts';
import { chooseParams, histogramOf, rangeProblem } from './static/params.ts';
import { unitsThatDoNotPay } from './static/pays.ts';
import { Plan, type PlanOptions } from './static/plan.ts';
import { poolsAsConvolutions } from './static/pool-as-conv.ts';
import { saturatingChannels } from './static/product-layout.ts';
import { activationChoices, engines, placements, profileOf } from './static/profile.ts';
import { toQOperators } from './static/qoperator.ts';
import { biasCorrections } from './static/refine/bias.ts';
import type { QdqLayer } from './static/refine/layer.ts';
import { Refinement, weightRange } from './static/refine/refine.ts';
import { roundings } from './static/refine/rounding.ts';
import { guardTraps } from './static/runtime-pairs.ts';
import { uniqueInnerNames } from './static/unique-names.ts';
import { isHeavy, quantizableOps } from './static/unit.ts';
import { type WeightOptions, WeightStore } from './static/weight-store.ts';
import { readTable } from './table.ts';

const options = {
  calibrate: opt.choice(
    calibrators,
    'minmax',
    'how ranges are chosen: minmax, average (of the extremes of each sample), percentile, mse (least squared error) or entropy (Kullback–Leibler; clips too much, 0.6 to 7 dB less than minmax on five models)',
  ),
  percentile: opt.number(99.999, 'share of the values that stay in range, for --calibrate percentile', {
    min: 50,
    max: 100,
  }),
  perChannel: opt.boolean(true, 'a scale for each output channel of the weights (opset 13)'),
  activations: opt.choice(
    activationChoices,
    'auto',
    'codes of activations: unsigned or signed, 8 or 16 bits (16 have no integer kernels on the CPU); auto: u8, s8 for ARM, TensorRT and QNN',
  ),
  symmetric: opt.boolean(
    false,
    'zero points of activations in the middle of the codes; always for TensorRT; elsewhere a Relu then keeps layers from fusing',
  ),
  cpu: opt.choice(
    cpuProfiles,
    'auto',
    'processor the model will run on; auto: any, by weights that are right without VNNI too',
  ),
  engine: opt.choice(
    engines,
    'cpu',
    'what runs the file: the CPU provider of ONNX Runtime, TensorRT or QNN (signed activations, everything quantized)',
  ),
  reduceRange: opt.choice(
    ['auto', 'yes', 'no'],
    'auto',
    '7-bit weights; auto: only as far as products could saturate, on processors that do (no VNNI)',
  ),
  weights: opt.choice(
    ['auto', ...roundings],
    'minmax',
    'how codes of weights are chosen: auto (gptq where it does not take minutes), minmax, mse, weighted (by what the inputs are like) or gptq (errors made up for by other weights); kept layer by layer where held-out rows say so',
  ),
  correctBias: opt.choice(
    biasCorrections,
    'none',
    'take the mean error of each channel out of the bias: fast (of the weights), or full (behind the quantized layers before it; a run over the samples for each layer)',
  ),
  format: opt.choice(
    ['qdq', 'qoperator'],
    'qdq',
    'qdq: QuantizeLinear and DequantizeLinear around float operators, which every engine fuses as it can; qoperator: QLinearConv, QGemm and the like, written out',
  ),
  embeddings: opt.boolean(true, 'store embedding tables in 8 bits too (for TensorRT and QNN they stay in float)'),
  stored: opt.boolean(
    false,
    'weights of convolutions, GRU and RNN that stay in float: in 8 bits too, expanded to float at load',
  ),
  minElements: opt.int(512, 'leave matrices with fewer elements in float', { min: 0 }),
  place: opt.choice(
    placements,
    'pays',
    'pays: leave in float what is faster there, by measured costs of each operator, and all where they promise little; may-pay: the same, and a little is enough, for files that are timed afterwards; all: whatever can run on integers',
  ),
  ops: opt.list(
    [],
    `operators to quantize; default all of ${quantizableOps.slice(0, 3).join(', ')} and those around them`,
  ),
  keep: opt.list([], 'names of nodes, or operators, that stay in float'),
  synthetic: opt.boolean(false, 'without data: choose ranges from made-up inputs (expect a poor model)'),
} as const;

/** INT8 with activation ranges from calibration data, as pairs of QuantizeLinear and DequantizeLinear (QDQ). */
export const quantizeStatic = definePass({
  id: 'quantize-static',
  summary:
    'INT8 weights and activations with ranges from calibration data (QDQ): Conv, MatMul, Gemm and what stands between',
  options,
  rules: {
    calibration: 'Ranges of activations were measured',
    ...constantCopyRule,
    inline: 'Functions of the model in which something heavy stands are inlined',
    opset: 'The opset is raised to 13, for scales per channel',
    saturation: 'Scales are widened where products could saturate on processors without VNNI',
    weighted: 'Conv, MatMul and Gemm with constant weights run on integers',
    compute: 'Arithmetic between them runs on integers too',
    pool: 'An AveragePool over full windows became a depthwise convolution with equal weights, whose integer kernel is fast',
    'clip-clip':
      'Two limits one after the other are one: behind a MatMul on integers ONNX Runtime cannot load them (MatMul, Relu, Relu)',
    'max-min-clip': maxMinClip.summary,
    'resize-axes': fullResizeSummary,
    ...formRules,
    head: 'A last convolution, whose window is its whole input, became a Gemm, which hands out floats: its result is not rounded',
    embedding: 'Embedding tables are stored in 8 bits, with one scale per row',
    stored:
      'Weights of convolutions, GRU and RNN that stay in float are stored in 8 bits and expanded once, at load (--stored)',
    rounding: 'Codes of weights were fitted to what the layer sees',
    bias: 'The mean error of the outputs was taken out of the bias',
    qoperator: 'Operators on integers were written out (--format qoperator)',
    mover: 'Rearrangements between them move integers',
    keep: 'Names given with --keep that stand for nothing',
    'quantize-static': 'Why the model is left as it is',
  },
  numerics: () => lossy(10),
  async run(model, given, ctx) {
    const { activations, left } = source(given.synthetic, ctx);
    checkOps(given.ops);
    reportUnmatched(model, given.keep, ctx);
    if (isOurs(model)) return leave(ctx, 'this pass has quantized it before: start from the float model');
    const profile = profileOf(given);
    if (given.format === 'qoperator' && profile.type.endsWith('16'))
      throw new UserError(
        'option.value',
        `--format qoperator has no operators on 16-bit activations (--activations ${given.activations}); use --format qdq.`,
      );
    const planOptions: PlanOptions = {
      minElements: given.minElements,
      type: profile.type,
      excluded: (node) => excluded(node, given.keep, given.ops) ?? (isHeavy(node) ? logarithmBehind(node) : undefined),
      // Where no other domain may be taken (insert.ts), a Slice in float behind signed bytes is what ONNX Runtime fails on.
      movesAll: profile.type === 'int8' && !profile.ownDomain && model.opset >= 21,
    };
    const plansOf = (source: Model): Plan[] => quantizableGraphs(source).map((graph) => new Plan(graph, planOptions));
    if (given.format === 'qoperator' && given.engine === 'tensorrt')
      throw new UserError(
        'option.value',
        'TensorRT reads no operators on integers (--format qoperator); use --format qdq.',
      );
    // On a copy first: a model of which nothing is quantized in the end keeps its opset, its functions and its names.
    const trial = cloneModel(model);
    const { calls, left: notInlined } = openFunctions(trial);
    const silent: Trace = { applied: () => undefined, skipped: () => undefined };
    readThroughCopies(trial, silent);
    for (const { node, why } of notInlined) ctx.skipped('inline', node, why);
    if (!plansOf(trial).some(hasWeighted)) {
      reportLeft(plansOf(trial), trial, ctx);
      return leave(ctx, 'it has no Conv, MatMul or Gemm in float that could run on integers');
    }
    const from = model.opset;
    const tooOld = upgradeOpset(trial);
    if (tooOld && from < 10) return leave(ctx, `${tooOld}; QuantizeLinear needs opset 10`);
    uniqueInnerNames(trial);
    const mayChange = (node: Node): boolean => !planOptions.excluded(node);
    const joinClamps = (source: Model, trace: Trace): void =>
      void toFixedPoint(source, [keepRule(maxMinClip, given.keep), keepRule(clipClip, given.keep)], trace);
    joinClamps(trial, silent);
    if (given.engine === 'cpu') fillResizes(trial);
    if (given.engine === 'cpu') fitKernels(trial, profile, mayChange, silent);
    // What averages windows is a convolution where integers are cheap: tried on the copy, and done where it came out on integers.
    const pools = profile.place !== 'all' ? poolsAsConvolutions(trial.graph, mayChange) : new Map<string, Node>();
    // The same for what hands out floats as a Gemm.
    const lastOnes = headsOf(new Plan(trial.graph, planOptions));
    const heads = given.engine === 'cpu' ? headsAsGemms(trial.graph, lastOnes) : new Map<string, Node>();
    const trialPlans = plansOf(trial);
    const observed = new Set(trialPlans.flatMap((plan) => [...plan.observed]));
    // Where statistics are those of the model as it came, they know what stands before the Flatten alone.
    for (const head of heads.values())
      observed.add(head.input(0)?.producer?.input(0) ?? bug('a head without an input'));
    const histograms = await activations.histograms(trial, [...observed], {
      // Extremes of channels say in which of them products can saturate.
      ...(profile.reduce === 'threatened' && { channelAxes: channelAxes(trialPlans) }),
      ...countsFor(given.calibrate),
    });
    const elements = ({ name }: Value): number => (histograms.get(name)?.count ?? 0) / Math.max(1, activations.samples);
    const settle = (plan: Plan, left: ReadonlyMap<Node, string> = new Map()): Plan => {
      plan.leave({ left, guarded: new Set() });
      plan.avoid(unusable(plan, histograms));
      if (profile.place !== 'all')
        plan.leave(unitsThatDoNotPay(plan, { cpu: profile.cpu, place: profile.place }, elements));
      if (given.engine === 'cpu') guardNamedAxes(plan);
      guardTraps(plan, trial.opset >= 13);
      return plan;
    };
    if (!trialPlans.map((plan) => settle(plan)).some(hasWeighted)) {
      reportLeft(trialPlans, trial, ctx);
      return { changed: false };
    }
    if (tooOld && given.perChannel) ctx.skipped('opset', 'model', `${tooOld}: one scale for each whole weight then`);
    openFunctions(model);
    const made: Trace = { ...silent, applied: ctx.applied.bind(ctx) };
    readThroughCopies(model, made);
    for (const [name, count] of calls) ctx.applied('inline', name, `${count} ×`);
    upgradeOpset(model);
    if (model.opset > from) ctx.applied('opset', 'model', `opset ${from} → ${model.opset}`);
    uniqueInnerNames(model);
    joinClamps(model, made);
    if (given.engine === 'cpu') for (const node of fillResizes(model)) ctx.applied('resize-axes', node);
    if (given.engine === 'cpu') fitKernels(model, profile, mayChange, made);
    const stays = (made: Node | undefined): boolean =>
      trialPlans.some((plan) => made !== undefined && plan.units.has(made));
    for (const node of poolsAsConvolutions(model.graph, (pool) => stays(pools.get(pool.output().name))).values())
      ctx.applied('pool', node);
    const chosen = [...model.graph.nodes].filter(({ outputs }) => stays(heads.get(outputs[0]?.name ?? '')));
    for (const node of headsAsGemms(model.graph, new Set(chosen)).values()) ctx.applied('head', node);
    // What was not worth integers as a Gemm is a convolution again, of whose result nothing is known: the reason is that of the Gemm.
    const asGemms = leftAsGemms(model, heads, trialPlans);
    const plans = plansOf(model).map((plan) => settle(plan, asGemms));
    reportLeft(plans, model, ctx);
    ctx.applied('calibration', 'model', `${activations.samples} ${left} samples, ${given.calibrate}`);
    const { type, symmetric, reduce } = profile;
    const options: WeightOptions = { reduce, perChannel: given.perChannel && model.opset >= 13 };
    const store = new WeightStore(options);
    const { calibrate: method, percentile } = given;
    // All of it before anything is inserted: a branch may read what an outer graph quantizes, and statistics go by names.
    const known = new Map<Value, Affine>();
    const prepared = plans.map((plan) => {
      const params = chooseParams(plan, histograms, { type, symmetric, method, percentile }, known);
      for (const [value, affine] of params) known.set(value, affine);
      const wide = model.opset >= 13 ? inputsToFill(plan, profile, elements) : new Map<Node, number>();
      return { plan, params, wide };
    });
    const replaced = new Map<Value, Value>();
    for (const { plan, params: own, wide } of prepared) {
      const params = new Map([...own].map(([value, affine]) => [replaced.get(value) ?? value, affine]));
      for (const { node, kind } of plan.units.values()) ctx.applied(kind, node);
      const refinement =
        plan.graph !== model.graph || (given.weights === 'minmax' && given.correctBias === 'none')
          ? undefined
          : new Refinement(model, plan);
      const largest = new Map<Node, ArrayLike<number>>();
      if (reduce === 'threatened')
        for (const unit of plan.units.values()) largest.set(unit.node, largestCodes(unit, params, histograms, type));
      const inserted = insertQdq(model, plan, params, store, {
        ...options,
        type,
        symmetric,
        floatBias: profile.floatBias,
        ownDomain: profile.ownDomain,
        largestCodes: ({ node }) => largest.get(node) ?? [255],
        onWidened: ({ node, weighted }, channels) =>
          ctx.applied('saturation', node, `${channels} of ${weighted?.channels} channels have wider scales`),
      });
      for (const [value, by] of inserted) replaced.set(value, by);
      const unsafe = (layer: QdqLayer, codes: Int8Array): readonly number[] =>
        reduce === 'threatened' ? saturatingChannels(layer, codes, largest.get(layer.node) ?? [255]) : [];
      const range = weightRange(reduce === 'all');
      await refinement?.run(model, params, activations, { ...given, floatBias: profile.floatBias, range, unsafe }, ctx);
      // Last: what fits codes of weights knows layers by their shape in the float model.
      for (const node of fillInputs(wide)) ctx.applied('fill-inputs', node);
    }
    if (given.format === 'qoperator')
      for (const { graph } of plans) {
        const count = toQOperators(model, graph);
        if (count > 0) ctx.applied('qoperator', graph.name || 'graph', `${count} operators on integers`);
      }
    if (given.embeddings && given.engine === 'cpu') storeTables(model, given, ctx);
    else if (given.embeddings) leaveTables(model, given, ctx);
    if (given.stored) storeRest(model, given, ctx.applied.bind(ctx));
    return { changed: true };
  },
});

/** Values that calibration says cannot be given a scale, with the reason. */
function unusable(plan: Plan, histograms: ReadonlyMap<string, Histogram>): Map<Value, string> {
  const bad = new Map<Value, string>();
  for (const value of plan.quantized) {
    const why = plan.given.has(value) ? undefined : rangeProblem(value, histogramOf(value, histograms));
    if (why) bad.set(value, why);
  }
  return bad;
}

/** Why convolutions stay in float that were tried as Gemms (by the name of their result) and did not come out on integers. */
function leftAsGemms(model: Model, tried: ReadonlyMap<string, Node>, plans: readonly Plan[]): Map<Node, string> {
  const left = new Map<Node, string>();
  for (const node of model.graph.nodes) {
    const gemm = node.is('Conv') ? tried.get(node.output().name) : undefined;
    const why = gemm && plans.map((plan) => plan.left.get(gemm)).find((reason) => reason !== undefined);
    if (why !== undefined) left.set(node, why);
  }
  return left;
}

/** The main graph, and branches and bodies in which something heavy stands. */
function quantizableGraphs(model: Model): Graph[] {
  return [...graphsBelow(model.graph)].filter(
    (graph) => graph === model.graph || [...graph.nodes].some((node) => isHeavy(node)),
  );
}

/** Tables need no calibration: the form of quantize-dynamic serves here too. */
function storeTables(model: Model, given: { minElements: number; keep: readonly string[] }, ctx: PassContext): void {
  const trace = { applied: ctx.applied.bind(ctx), skipped: ctx.skipped.bind(ctx) };
  walk(model, [keepRule(embeddingRule(given.minElements), given.keep)], trace, { allMisses: ctx.explain ?? false });
}

/** For other engines, with the reason. */
function leaveTables(model: Model, given: { minElements: number; engine: string }, ctx: PassContext): void {
  for (const graph of model.graphs())
    for (const node of graph.nodes)
      if (node.is('Gather') && !('why' in readTable(node, given.minElements)))
        ctx.skipped(
          'embedding',
          node,
          `its table stays in float for ${given.engine}: codes with a scale for each row were tried on the CPU provider alone`,
        );
}

/** Where the ranges come from. @throws UserError when there is nothing, and nobody asked for made-up inputs. */
function source(synthetic: boolean, ctx: PassContext): { activations: Activations; left: string } {
  if (ctx.activations)
    return { activations: ctx.activations, left: ctx.activations.source === 'data' ? 'calibration' : 'made-up' };
  if (synthetic && ctx.madeUpActivations) return { activations: ctx.madeUpActivations, left: 'made-up' };
  throw new UserError(
    'calibration.none',
    'quantize-static chooses ranges from samples, and there are none: give a folder of them with --data (a hundred are enough), use quantize-dynamic, which needs none, or accept made-up inputs with --synthetic.',
  );
}

/** Whether this pass has been here: what it left in float then, it left for a reason. */
function isOurs(model: Model): boolean {
  for (const graph of model.graphs())
    for (const node of graph.nodes) if (node.meta?.get(provenanceKey)?.startsWith('quantize-static(')) return true;
  return false;
}

function checkOps(ops: readonly string[]): void {
  const unknown = ops.find((op) => !quantizableOps.includes(op));
  if (unknown !== undefined)
    throw new UserError(
      'option.value',
      `--ops names "${unknown}", which has no statically quantized form; there are ${quantizableOps.join(', ')}.`,
    );
}

function excluded(node: Node, keep: readonly string[], ops: readonly string[]): string | undefined {
  if (isKept(node, keep)) return 'you asked for it to stay as it is (--keep)';
  if ((node.op === 'Mul' || node.op === 'Add') && node.meta?.get(provenanceKey)?.startsWith('smooth-quant('))
    return 'it carries the factors of smooth-quant, which rounding before it would undo';
  if (ops.length > 0 && !ops.includes(node.op)) return 'its operator is not among those to quantize (--ops)';
  return undefined;
}

function hasWeighted(plan: Plan): boolean {
  return [...plan.units.values()].some(({ kind }) => kind === 'weighted');
}

/** Heavy nodes that stay in float, with the reason; all others too when asked to explain. */
function reportLeft(plans: readonly Plan[], model: Model, ctx: PassContext): void {
  for (const [node, why] of plans.flatMap((plan) => [...plan.left])) {
    if (isHeavy(node)) ctx.skipped('weighted', node, why);
    else if (ctx.explain) ctx.skipped('compute', node, why);
  }
  for (const { body } of model.functions)
    for (const graph of graphsBelow(body))
      for (const node of graph.nodes)
        if (isHeavy(node))
          ctx.skipped('weighted', node, 'it stands in a function that stays, where activations are not measured');
}

function leave(ctx: Trace, why: string): { changed: false } {
  ctx.skipped('quantize-static', 'model', why);
  return { changed: false };
}
