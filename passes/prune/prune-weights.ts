import { UserError } from '../../src/errors.ts';
import { tensor as tensorAttr } from '../../src/ir/attr.ts';
import { computedTensor, elementCount, type Tensor, typedArray } from '../../src/ir/tensor.ts';
import { f16ToF32, f32ToF16 } from '../../src/kernels/f16.ts';
import { countZeros, dropBelow, keepNofM, type MagnitudeCut, magnitudeCut } from '../../src/kernels/mask.ts';
import { opt } from '../../src/pass/options.ts';
import { definePass, lossy, type PassContext } from '../../src/pass/pass.ts';
import { isKept, reportUnmatched } from '../../src/rewrite/keep.ts';
import { type PruneTarget, pruneTargets } from './targets.ts';

const options = {
  sparsity: opt.number(0.5, 'share of the weights set to zero', { min: 0, max: 1 }),
  scope: opt.choice(['layer', 'global'], 'layer', 'the same share in every tensor, or the smallest of the whole model'),
  pattern: opt.string('unstructured', 'unstructured, or N:M: of each M neighbours along the inputs N stay (2:4)'),
  minElements: opt.int(1024, 'leave weights with fewer elements whole', { min: 0 }),
  keep: opt.list([], 'names of nodes, or operators, whose weights stay whole'),
} as const;

type Drop = (data: Float32Array) => Float32Array;

/** Magnitude pruning: the smallest weights become zero. */
export const pruneWeights = definePass({
  id: 'prune-weights',
  summary:
    'Set the smallest weights to zero: a smaller download after compression, the same speed (ONNX Runtime has no sparse kernels)',
  options,
  rules: {
    magnitude: 'The weights of smallest magnitude become zero',
    'n-of-m': 'Of each M neighbours along the inputs the N largest stay',
    keep: 'Names given with --keep that stand for nothing',
    speed: 'What pruning does to speed',
  },
  // Nothing can be promised: without retraining, half of the weights may be most of what a layer does.
  numerics: () => lossy(-40),
  run(model, given, ctx) {
    const pattern = parsePattern(given.pattern);
    const rule = pattern ? 'n-of-m' : 'magnitude';
    reportUnmatched(model, given.keep, ctx);
    const targets = pruneTargets(
      model,
      given.minElements,
      (node) => isKept(node, given.keep),
      (node, why) => ctx.skipped(rule, node, why),
    );
    const plan = pattern
      ? () => targets.map(structured(pattern))
      : () => unstructured(targets, given.sparsity, given.scope);
    let changed = false;
    for (const [index, drop] of plan().entries()) {
      const target = targets[index] as PruneTarget;
      ctx.signal.throwIfAborted();
      if (pattern && target.view.length < pattern.m) {
        ctx.skipped(
          rule,
          target.node,
          `its weights "${target.value.name}" have ${target.view.length} inputs, fewer than a group of ${pattern.m}`,
        );
      } else if (prune(target, drop, rule, ctx)) changed = true;
    }
    if (changed) {
      ctx.skipped(
        'speed',
        'model',
        'ONNX Runtime has no sparse kernels: zeros make the compressed file smaller, not inference faster',
      );
    }
    return { changed };
  },
});

/** `2:4` → { n: 2, m: 4 }; undefined for `unstructured`. */
function parsePattern(pattern: string): { n: number; m: number } | undefined {
  if (pattern === 'unstructured') return undefined;
  const [, n, m] = /^(\d+):(\d+)$/.exec(pattern) ?? [];
  const parsed = { n: Number(n), m: Number(m) };
  if (n === undefined || parsed.n < 1 || parsed.n >= parsed.m || parsed.m > 64) {
    throw new UserError(
      'prune-pattern',
      `"${pattern}" is no pruning pattern: write "unstructured", or N:M with 1 ≤ N < M ≤ 64, such as 2:4.`,
    );
  }
  return parsed;
}

function structured(pattern: { n: number; m: number }): (target: PruneTarget) => Drop {
  return ({ view }) =>
    (data) =>
      keepNofM(data, view, pattern.n, pattern.m);
}

/** What to drop from each target: exactly round(sparsity · elements) of each, or of all together. */
function unstructured(targets: readonly PruneTarget[], sparsity: number, scope: 'layer' | 'global'): Drop[] {
  const elements = (list: readonly PruneTarget[]): number =>
    list.reduce((sum, { tensor }) => sum + elementCount(tensor.shape), 0);
  const cutOf = (list: readonly PruneTarget[]): MagnitudeCut =>
    magnitudeCut(
      list.map(
        ({ tensor }) =>
          () =>
            weightsOf(tensor),
      ),
      Math.round(sparsity * elements(list)),
    );
  if (scope === 'layer') {
    return targets.map((target) => {
      const cut = cutOf([target]);
      return (data) => dropBelow(data, cut).data;
    });
  }
  let cut = cutOf(targets);
  return targets.map(({ tensor }) => {
    const own = cut;
    cut = { ...cut, ties: dropBelow(weightsOf(tensor), own).ties };
    return (data) => dropBelow(data, own).data;
  });
}

function prune(target: PruneTarget, drop: Drop, rule: string, ctx: PassContext): boolean {
  const { value, tensor, node } = target;
  const before = weightsOf(tensor);
  const zerosBefore = countZeros(before);
  const zeros = countZeros(drop(before));
  const total = before.length;
  const share = `${zeros} of ${total} are zero (${((100 * zeros) / total).toFixed(1)} %)`;
  if (zeros === zerosBefore) return false;
  // Made when asked for, so that a big model is not held twice.
  const pruned = computedTensor(tensor.dtype, tensor.shape, () => asStored(drop(weightsOf(tensor)), tensor.dtype));
  if (value.producer) value.producer.setAttr('value', tensorAttr(pruned));
  else value.graph.setInitializer(value, pruned);
  ctx.applied(rule, node, `"${value.name}": ${share}`);
  return true;
}

/** float32 weights as they are, float16 ones widened (exact both ways). */
function weightsOf(tensor: Tensor): Float32Array {
  return tensor.dtype === 'float16' ? f16ToF32(typedArray(tensor, 'float16')) : typedArray(tensor, 'float32');
}

function asStored(data: Float32Array, dtype: Tensor['dtype']): Uint8Array {
  const stored = dtype === 'float16' ? f32ToF16(data) : data;
  return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
}
