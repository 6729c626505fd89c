import { UserError } from '../../src/errors.ts';
import { cloneModel } from '../../src/ir/clone.ts';
import type { Model } from '../../src/ir/graph.ts';
import { computedTensor, type Tensor } from '../../src/ir/tensor.ts';
import { f32ToF16 } from '../../src/kernels/f16.ts';
import { dropBelow, magnitudeCut } from '../../src/kernels/mask.ts';
import type { JudgedBatch, Runner } from '../../src/pass/judge.ts';
import type { PassContext } from '../../src/pass/pass.ts';
import { rounded } from './budget.ts';
import { putConstant } from './store.ts';
import { type PruneTarget, pruneTargets } from './targets.ts';
import { weightsOf } from './weights.ts';

/** Shares at which each layer is pruned alone; what lies between and beyond follows an exponential through both. */
const levels = [0.5, 0.8] as const;
/** Samples that outputs are compared on: noises differ by orders of magnitude, and few samples show that. */
const samples = 32;
const batch = 8;
/** The largest share that a layer loses. */
const mostPruned = 0.98;
/** Noise below this share of the signal cannot be told from rounding. */
const leastNoise = 1e-9;

/**
 * How much each layer loses so that the outputs lose least: each is pruned alone by magnitude at two shares, what the outputs lose is
 * noise(share) = c · exp(k · share), and since the noises of layers add up, the best shares are those at which one more weight costs the same everywhere.
 */
export async function bySensitivity(
  model: Model,
  targets: readonly PruneTarget[],
  sparsity: number,
  ctx: PassContext,
): Promise<Map<PruneTarget, number>> {
  if (!ctx.judge)
    throw new UserError(
      'prune-scope',
      '--scope sensitivity runs the model, which is not possible here; use --scope erk.',
    );
  const judge = await ctx.judge(model);
  try {
    const batches = await judge.some(samples, batch);
    const expected = await outputsOf(await judge.open(cloneModel(model)), batches);
    const curves = new Map<PruneTarget, Curve>();
    for (const [at, target] of targets.entries()) {
      ctx.signal.throwIfAborted();
      ctx.progress?.(`layer ${at + 1} of ${targets.length}`);
      const noises: number[] = [];
      for (const level of levels) {
        const outputs = await outputsOf(await judge.open(prunedAlone(model, target, level)), batches);
        const tally = judge.tally();
        for (const [i, { size }] of batches.entries())
          tally.add(expected[i] ?? new Map<string, Tensor>(), outputs[i] ?? new Map<string, Tensor>(), size);
        const { noise } = tally.result();
        noises.push(Number.isFinite(noise) ? Math.max(leastNoise, noise) : 1e6);
      }
      curves.set(target, curveThrough(noises));
    }
    ctx.note?.(
      `each of ${targets.length} layers was pruned alone, on ${batches.reduce((sum, { size }) => sum + size, 0)} ${judge.source === 'data' ? 'samples' : 'made-up inputs'}`,
    );
    return rounded(targets, sharesAt(targets, curves, sparsity), sparsity);
  } finally {
    await judge.dispose();
  }
}

async function outputsOf(runner: Runner, batches: readonly JudgedBatch[]): Promise<Map<string, Tensor>[]> {
  try {
    const outputs = [];
    for (const { feeds } of batches) outputs.push(await runner.run(feeds));
    return outputs;
  } finally {
    await runner.dispose();
  }
}

/** A copy of the model in which this layer alone has lost its smallest weights. */
function prunedAlone(model: Model, target: PruneTarget, share: number): Model {
  const copy = cloneModel(model);
  const twin = pruneTargets(
    copy,
    0,
    () => false,
    () => undefined,
  ).find(({ value }) => value.name === target.value.name);
  if (!twin) throw new TypeError(`the copy has no weights "${target.value.name}"`);
  const { dtype, shape } = target.tensor;
  putConstant(
    twin.value,
    computedTensor(dtype, shape, () => {
      const weights = weightsOf(target);
      const { data } = dropBelow(weights, magnitudeCut([() => weights], Math.round(share * weights.length)));
      return new Uint8Array((dtype === 'float16' ? f32ToF16(data) : data).buffer);
    }),
  );
  return copy;
}

/** noise = c · exp(k · share) */
interface Curve {
  readonly c: number;
  readonly k: number;
}

function curveThrough([low = leastNoise, high = leastNoise]: readonly number[]): Curve {
  // More weights gone never helps in the long run, whatever few samples say.
  const k = Math.max(1, Math.log(high / low) / (levels[1] - levels[0]));
  return { k, c: low / Math.exp(k * levels[0]) };
}

/** The shares at which one more weight costs the same in every layer, and which come to the sparsity asked for; by halving. */
function sharesAt(
  targets: readonly PruneTarget[],
  curves: ReadonlyMap<PruneTarget, Curve>,
  sparsity: number,
): Map<PruneTarget, number> {
  const goal = sparsity * targets.reduce((sum, { elements }) => sum + elements, 0);
  const sharesFor = (price: number): Map<PruneTarget, number> =>
    new Map(
      targets.map((target) => {
        const { c, k } = curves.get(target) ?? { c: leastNoise, k: 1 };
        // c · k · exp(k · share) = price · elements
        const share = (price + Math.log(target.elements) - Math.log(c * k)) / k;
        return [target, Math.min(mostPruned, Math.max(0, share))];
      }),
    );
  let [low, high] = [-200, 200];
  for (let turn = 0; turn < 80; turn++) {
    const middle = (low + high) / 2;
    const shares = sharesFor(middle);
    const sum = targets.reduce((total, target) => total + (shares.get(target) ?? 0) * target.elements, 0);
    if (sum < goal) low = middle;
    else high = middle;
  }
  return sharesFor(high);
}
