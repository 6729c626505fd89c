import { UserError } from '../../src/errors.ts';
import { minorOf } from '../../src/ir/ceilings.ts';
import { graphsBelow, type Model } from '../../src/ir/graph.ts';
import { inferShapes } from '../../src/ir/infer/infer.ts';
import { newestOpset, upgradeOpset } from '../../src/ir/opset-upgrade.ts';
import { sortTopologically } from '../../src/ir/sort.ts';
import { suggestion } from '../../src/messages.ts';
import { opt } from '../../src/pass/options.ts';
import { definePass, type PassContext, reordered } from '../../src/pass/pass.ts';
import { constantCopyRule, readThroughCopies } from '../../src/rewrite/constant-copies.ts';
import { toFixedPoint } from '../../src/rewrite/driver.ts';
import type { Rule } from '../../src/rewrite/rule.ts';
import { activationRules } from './activation/activations.ts';
import { biasGelu } from './activation/bias-gelu.ts';
import { attention } from './attention/attention.ts';
import { biasSoftmax } from './attention/bias-softmax.ts';
import { attentionLayout } from './attention/layout.ts';
import { mergedHeads } from './attention/merged-heads.ts';
import { rotary } from './attention/rotary.ts';
import { batchNormAffineBehind } from './batch-norm-affine.ts';
import { batchNormConv } from './batch-norm-conv.ts';
import { clipClip } from './clip-clip.ts';
import { addChain, mulChain } from './constant-chain.ts';
import { convAdd } from './conv-add.ts';
import { convBatchNorm } from './conv-batch-norm.ts';
import { convMul } from './conv-mul.ts';
import { gemmAdd } from './gemm-add.ts';
import { gemmBatchNorm } from './gemm-batch-norm.ts';
import { gemmMul } from './gemm-mul.ts';
import { channelGather } from './layout/channel-gather.ts';
import { depthSpace } from './layout/depth-space.ts';
import { focus } from './layout/focus.ts';
import { gathersSplit } from './layout/gathers-split.ts';
import { gainsInFloat, padChannels, padSummary } from './layout/pad-channels.ts';
import { siblingConvs } from './layout/sibling-convs.ts';
import { slicesSplit } from './layout/slices-split.ts';
import { softmaxRows } from './layout/softmax-rows.ts';
import { layoutRule, moveTransposes } from './layout/transposes.ts';
import { scaleConv } from './linear/before-conv.ts';
import { convBranches } from './linear/conv-branches.ts';
import { convConv } from './linear/conv-conv.ts';
import { einsum } from './linear/einsum.ts';
import { fusedActivation } from './linear/fused-activation.ts';
import { fusedMatmul } from './linear/fused-matmul.ts';
import { biasScale, matmulScale, scaleMatmul } from './linear/scale-matmul.ts';
import { transposeGemm } from './linear/transpose-gemm.ts';
import { matmulAdd } from './matmul-add.ts';
import { maxMinClip } from './max-min-clip.ts';
import { embedNorm } from './norm/embed-norm.ts';
import { groupNorm } from './norm/group-norm.ts';
import { instanceNorm } from './norm/instance-norm.ts';
import { normSum } from './norm/norm-sum.ts';
import { layerNorm, rmsNorm } from './norm/norms.ts';
import { skipNorm } from './norm/skip-norm.ts';
import { padConv } from './pad-conv.ts';
import { padPool } from './pad-pool.ts';
import { rowsBatchNorm } from './rows-batch-norm.ts';
import { FusionTarget, levels, newestRuntime, providers } from './target.ts';

/** Folding and merging of what stands around linear operators. In the order in which they are tried at a node. */
const linearRules: readonly Rule[] = [
  convBatchNorm,
  gemmBatchNorm,
  rowsBatchNorm,
  convAdd,
  convMul,
  gemmAdd,
  gemmMul,
  matmulAdd,
  padConv,
  padPool,
  batchNormConv,
  clipClip,
  maxMinClip,
  addChain,
  mulChain,
  einsum,
  batchNormAffineBehind,
  convBranches,
  convConv,
  gathersSplit,
];

/** What would hide norms, activations and attention from their rules if it were done earlier. */
const lateRules: readonly Rule[] = [
  scaleConv,
  scaleMatmul,
  matmulScale,
  biasScale,
  transposeGemm,
  depthSpace,
  focus,
  slicesSplit,
];

/** What is recognized as one operator of ai.onnx, or of the runtime's own where the target has it. */
function rulesFor(target: FusionTarget): Rule[] {
  return [
    ...linearRules,
    instanceNorm,
    layerNorm(target),
    rmsNorm(target),
    ...activationRules(target),
    rotary(target),
    mergedHeads,
    attention(target),
    attentionLayout(),
  ];
}

/** Shapes that the kernels of the CPU provider are fast on. */
const cpuForms: readonly Rule[] = [softmaxRows, channelGather, ...siblingConvs()];

/** What only the runtime has: tried when all of the above is done. */
function runtimeRules(target: FusionTarget): Rule[] {
  return [
    embedNorm(target),
    groupNorm(target),
    skipNorm(target),
    biasGelu(target),
    biasSoftmax(target),
    fusedActivation(target),
    fusedMatmul(target),
    ...(target.provider === 'cpu' ? cpuForms : []),
  ];
}

/** What says the same to ONNX Runtime in a way that it does not fuse: other rules would not know it again. */
const lastRules = (target: FusionTarget): Rule[] => [normSum(target)];

/** Two are the rule; each leaves fewer Transposes. */
const maxRounds = 10;

const everything = new FusionTarget('runtime', 'cpu', newestRuntime);
const allRules: readonly Rule[] = [
  ...rulesFor(everything),
  ...lateRules,
  ...runtimeRules(everything),
  ...lastRules(everything),
];

/** What is no rule about a node and its neighbours. */
const stepRules = {
  ...constantCopyRule,
  'pad-channels': padSummary,
  [layoutRule]: 'Transposes move over operators that do not care for the order of axes, where fewer are left then',
} as const;

export const fuse = definePass({
  id: 'fuse',
  summary:
    'Fold normalization, bias, factors and padding into convolutions and matrix products; one operator for norms, activations and attention',
  options: {
    level: opt.choice(
      levels,
      'portable',
      "portable: operators of ai.onnx only, which every runtime and quantizer knows; runtime: ONNX Runtime's own too",
    ),
    provider: opt.choice(providers, 'cpu', 'At level runtime: the provider that must have the kernels'),
    ort: opt.string(`1.${newestRuntime}`, 'At level runtime: the oldest ONNX Runtime that must load the model'),
    opset: opt.int(0, 'Raise the opset to this first, which lets more be fused (0: leave it)', {
      min: 0,
      max: newestOpset,
    }),
    generation: opt.boolean(
      false,
      'A past comes with one sample or one position at a time, as in text generation: GroupQueryAttention takes no other',
    ),
    skip: opt.list([], 'Rules to leave out, by name'),
  },
  rules: { ...Object.fromEntries(allRules.map((rule) => [rule.id, rule.summary])), ...stepRules },
  numerics: () => reordered(),
  run(model, options, ctx) {
    checkNames(options.skip);
    const target = new FusionTarget(options.level, options.provider, runtimeVersion(options.ort), options.generation);
    const raised = options.opset > 0 && raise(model, options.opset);
    const use = (rules: readonly Rule[]): boolean => {
      const used = rules.filter((rule) => !options.skip.includes(rule.id));
      const { types } = inferShapes(model, { write: false });
      return toFixedPoint(model, used, ctx, { allMisses: ctx.explain ?? false, types }).changed;
    };
    const main = rulesFor(target);
    const moved = (): boolean =>
      !options.skip.includes(layoutRule) && moveTransposes(model, inferShapes(model, { write: false }).types, ctx);
    const recognize = (): boolean => {
      let changed = use(main);
      // When all is recognized that the Transposes and factors stand in: moving them would hide it.
      for (let round = 0; round < maxRounds; round++) {
        if (![moved(), use(lateRules)].includes(true)) break;
        changed = true;
        use(main);
      }
      return changed;
    };
    const rewrite = (): boolean => {
      let changed = recognize();
      // An activation that went into the operator in front of it no longer keeps the factor behind it where it is.
      for (let round = 0; round < maxRounds; round++) {
        if (!target.isRuntime || !use(runtimeRules(target))) break;
        changed = true;
        if (!recognize()) break;
      }
      return changed;
    };
    const copies = !options.skip.includes('constant-copy') && readThroughCopies(model, ctx);
    let changed = rewrite() || copies;
    // The later opset may have operators for more.
    if (target.isRuntime && declareNorms(model, target, ctx)) {
      changed = true;
      rewrite();
    }
    if (target.isRuntime && use(lastRules(target))) changed = true;
    if (target.isRuntime && target.provider === 'cpu' && !options.skip.includes('pad-channels')) {
      const { types } = inferShapes(model, { write: false });
      const grown = [...graphsBelow(model.graph)].flatMap((graph) => padChannels(graph, types, gainsInFloat));
      for (const node of grown) ctx.applied('pad-channels', node);
      if (grown.length > 0) changed = true;
    }
    // A node with several outputs stands where its last input is known; readers of its other outputs may stand before.
    if (changed) for (const graph of [model.graph, ...model.functions.map((fn) => fn.body)]) sortTopologically(graph);
    return { changed: raised || changed };
  },
});

/**
 * ONNX Runtime has LayerNormalization in ai.onnx at every opset, ONNX since 17: a file that uses it says so, where its operators can
 * be raised and the runtime takes that opset (1.12).
 * @returns whether the opset was raised.
 */
function declareNorms(model: Model, target: FusionTarget, ctx: PassContext): boolean {
  const since = 17;
  if (model.opset >= since || target.version < 12) return false;
  const norms = [...model.graph.nodes].filter((node) => node.is('LayerNormalization'));
  const [first] = norms;
  if (!first) return false;
  const before = model.opset;
  const why = upgradeOpset(model, since);
  if (why)
    ctx.skipped(
      'layer-norm',
      first,
      `it stays an operator of ONNX Runtime at opset ${before}, which ONNX itself has from ${since} on: ${why}`,
    );
  else ctx.note?.(`opset ${before} raised to ${since}, which LayerNormalization came with`);
  return why === undefined;
}

function checkNames(skip: readonly string[]): void {
  const names = Object.keys(fuse.rules);
  const unknown = skip.find((name) => !names.includes(name));
  if (unknown === undefined) return;
  throw new UserError(
    'rule-unknown',
    `fuse has no rule "${unknown}"${suggestion(unknown, names)}; it has ${names.join(', ')}.`,
  );
}

/** Minor version of `1.30` or `1.30.2`. */
function runtimeVersion(text: string): number {
  const minor = minorOf(text);
  if (minor === undefined)
    throw new UserError(
      'option.value',
      `ort takes a version of ONNX Runtime such as 1.${newestRuntime}, not "${text}".`,
    );
  return minor;
}

/** @returns whether the opset changed. @throws UserError when it cannot be raised. */
function raise(model: Model, opset: number): boolean {
  const before = model.opset;
  const why = upgradeOpset(model, opset);
  if (why) throw new UserError('opset.raise', `the opset stays at ${before}: ${why}.`);
  return model.opset !== before;
}
