import { UserError } from '../../src/errors.ts';
import type { Model } from '../../src/ir/graph.ts';
import { computedTensor, type Tensor } from '../../src/ir/tensor.ts';
import { f32ToF16 } from '../../src/kernels/f16.ts';
import {
  countZeros,
  dropBelow,
  dropGroups,
  groupCount,
  isNofM,
  keepNofM,
  magnitudeCut,
} from '../../src/kernels/mask.ts';
import { opt } from '../../src/pass/options.ts';
import { definePass, lossy, type PassContext } from '../../src/pass/pass.ts';
import { constantCopyRule, readThroughCopies } from '../../src/rewrite/constant-copies.ts';
import { isKept, reportUnmatched } from '../../src/rewrite/keep.ts';
import { cutFor, erdosRenyi, perLayer, wholeModel } from './budget.ts';
import { fitByData } from './fit.ts';
import { scoreNames } from './fit-weights.ts';
import { type Cut, type Pattern, parsePattern } from './pattern.ts';
import { permuteChannels } from './permute.ts';
import { bySensitivity } from './sensitivity.ts';
import { putConstant, shareOf } from './store.ts';
import { roundWeights, tellLostGrid, tellZeros } from './stored-form.ts';
import { type PruneTarget, pruneTargets } from './targets.ts';
import { weightsOf } from './weights.ts';

const options = {
  sparsity: opt.number(0.5, 'share of the weights set to zero (a pattern N:M sets its own)', { min: 0, max: 1 }),
  scope: opt.choice(
    ['layer', 'global', 'erk', 'sensitivity'],
    'layer',
    'how the share is spread: the same in every tensor, the smallest of the whole model, more from large tensors than from small ones (erk: Erdős–Rényi), or measured: where outputs lose least (sensitivity)',
  ),
  score: opt.choice(
    ['auto', ...scoreNames],
    'auto',
    'what goes: the smallest magnitudes, those that carry least (wanda), or those whose loss the others can make up for, which are then moved to do so (sparsegpt); auto: sparsegpt where there is data and it does not take minutes, else magnitude',
  ),
  pattern: opt.string(
    'none',
    'none, N:M (of each M neighbours along the inputs N stay: 2:4 for TensorRT), or blockN (whole groups of N neighbours)',
  ),
  permute: opt.boolean(
    true,
    'N:M: first let channels between two layers change places where that keeps more; the model computes the same',
  ),
  mantissa: opt.int(
    23,
    'bits of mantissa that stay of the weights that are left, of 23: with fewer they compress better (7 is an error of at most 0.4 % of each)',
    { min: 1, max: 23 },
  ),
  minElements: opt.int(1024, 'leave weights with fewer elements whole', { min: 0 }),
  keep: opt.list([], 'names of nodes, or operators, whose weights stay whole'),
} as const;

/** Pruning of single weights: zeros for compression, or for runtimes that skip them. */
export const pruneWeights = definePass({
  id: 'prune-weights',
  summary:
    'Set weights to zero (by magnitude, or fitted to data): a smaller download after compression, the same speed (ONNX Runtime has no sparse kernels)',
  options,
  rules: {
    ...constantCopyRule,
    magnitude: 'The weights of smallest magnitude become zero',
    fitted: 'Weights become zero by what the layer sees, and the others make up for it',
    pattern: 'Weights become zero in a pattern: N of M, or whole groups',
    scope: 'How much each layer loses',
    permute: 'Channels between two layers changed places, so that N of M keep more',
    keep: 'Names given with --keep that stand for nothing',
    speed: 'What pruning does to speed',
    compression: 'What pruning does to the compressed size, where it is not what zeros promise',
  },
  // Nothing can be promised: without retraining, half of the weights may be most of what a layer does.
  numerics: () => lossy(-40),
  async run(model, given, ctx) {
    const pattern = parsePattern(given.pattern);
    if (given.sparsity === 1)
      throw new UserError(
        'option.value',
        'prune-weights: --sparsity 1 would leave no weight at all; half (0.5) is a usual share, and 0.9 a high one.',
      );
    if ((given.score === 'wanda' || given.score === 'sparsegpt') && !ctx.activations)
      throw new UserError(
        'calibration.none',
        `--score ${given.score} looks at what layers see, and there are no samples: give a folder of them with --data, or use --score magnitude, which needs none.`,
      );
    reportUnmatched(model, given.keep, ctx);
    const copies = readThroughCopies(model, ctx);
    const permuted = pattern.kind === 'n-of-m' && given.permute && permuteChannels(model, pattern, given, ctx);
    const targets = pruneTargets(
      model,
      given.minElements,
      (node) => isKept(node, given.keep),
      (node, why) => ctx.skipped(ruleOf(pattern), node, why),
    );
    const todo = await cutsFor(model, targets, pattern, given, ctx);
    const fitted =
      given.score === 'magnitude' ? new Set<PruneTarget>() : await fitByData(model, todo, given.score, ctx);
    for (const [target, cut] of todo) {
      ctx.signal.throwIfAborted();
      if (!fitted.has(target)) byMagnitude(target, cut, ruleOf(pattern), ctx);
    }
    if (given.mantissa < 23) roundWeights(todo.keys(), given.mantissa, ctx);
    else tellLostGrid(fitted, ctx);
    tellZeros(targets, pattern, given.sparsity, ctx);
    if (todo.size > 0) {
      ctx.skipped(
        'speed',
        'model',
        'ONNX Runtime has no sparse kernels: zeros make the compressed file smaller, not inference faster',
      );
    }
    return { changed: copies || permuted || todo.size > 0 };
  },
});

const ruleOf = ({ kind }: Pattern): string => (kind === 'share' ? 'magnitude' : 'pattern');

/** What goes from each target; those that have their zeros already, or cannot have them, are left out. */
async function cutsFor(
  model: Model,
  targets: readonly PruneTarget[],
  pattern: Pattern,
  { sparsity, scope }: { sparsity: number; scope: 'layer' | 'global' | 'erk' | 'sensitivity' },
  ctx: PassContext,
): Promise<Map<PruneTarget, Cut>> {
  const counts =
    scope === 'layer' || pattern.kind === 'n-of-m'
      ? perLayer(targets, sparsity)
      : scope === 'erk'
        ? erdosRenyi(targets, sparsity)
        : scope === 'sensitivity'
          ? await bySensitivity(model, targets, sparsity, ctx)
          : wholeModel(targets, sparsity, ({ node, value }) =>
              ctx.skipped(
                'scope',
                node,
                `its weights "${value.name}" are so small beside those of other layers that next to none would be left: 1 % stay`,
              ),
            );
  const cuts = new Map<PruneTarget, Cut>();
  let owed = 0;
  for (const target of targets) {
    const { node, value, elements, view } = target;
    const count = counts.get(target) ?? 0;
    // What whole groups of one layer cannot meet, the next one makes up for.
    const cut = cutFor(target, count + owed, pattern);
    if (cut.kind === 'groups') owed += count - (cut.drop * elements) / groupCount(view, cut.size);
    const rule = ruleOf(pattern);
    if (pattern.kind === 'n-of-m' && view.length < pattern.m)
      ctx.skipped(
        rule,
        node,
        `its weights "${value.name}" have ${view.length} inputs, fewer than a group of ${pattern.m}`,
      );
    else if (pattern.kind !== 'n-of-m' && count === elements)
      ctx.skipped(rule, node, `a share of ${sparsity} would leave none of the ${elements} weights "${value.name}"`);
    else if (!isDone(target, cut)) cuts.set(target, cut);
  }
  return cuts;
}

/** Whether the zeros are there already. */
function isDone(target: PruneTarget, cut: Cut): boolean {
  const weights = weightsOf(target);
  if (cut.kind === 'n-of-m') return isNofM(weights, target.view, cut.n, cut.m);
  if (cut.drop === 0) return true;
  if (cut.kind === 'share') return countZeros(weights) >= cut.drop;
  return countZeros(dropGroups(weights, target.view, cut.size, cut.drop)) === countZeros(weights);
}

function byMagnitude(target: PruneTarget, cut: Cut, rule: string, ctx: PassContext): void {
  const { value, tensor, node, elements } = target;
  const drop = dropper(target, cut);
  const zeros = countZeros(drop());
  // Made when asked for, so that a big model is not held twice.
  putConstant(
    value,
    computedTensor(tensor.dtype, tensor.shape, () => asStored(drop(), tensor.dtype)),
  );
  ctx.applied(rule, node, `"${value.name}": ${shareOf(zeros, elements)}`);
}

function dropper(target: PruneTarget, cut: Cut): () => Float32Array {
  const { view } = target;
  if (cut.kind === 'n-of-m') return () => keepNofM(weightsOf(target), view, cut.n, cut.m);
  if (cut.kind === 'groups') return () => dropGroups(weightsOf(target), view, cut.size, cut.drop);
  const at = magnitudeCut([() => weightsOf(target)], cut.drop);
  return () => dropBelow(weightsOf(target), at).data;
}

function asStored(data: Float32Array, dtype: Tensor['dtype']): Uint8Array {
  const stored = dtype === 'float16' ? f32ToF16(data) : data;
  return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
}
