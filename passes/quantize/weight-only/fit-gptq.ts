import type { LinearWeights } from '../../../src/kernels/blockwise.ts';
import { dampedHessian, type GptqFactor, gptqBlocks, gptqFactor } from '../../../src/kernels/gptq.ts';
import { refineBlocks } from '../../../src/kernels/gptq-refine.ts';
import type { Gram } from '../../../src/pass/pass.ts';
import { consider, type Fitting, Judge } from './judge.ts';
import type { Products } from './product.ts';

/** Coordinate descent after GPTQ: most of its gain comes in two sweeps. */
const sweeps = 2;

/** Shares of the mean diagonal to damp with: the fewer rows for each input, the stronger; with few, several are tried. */
function dampingsFor(rows: number, k: number): readonly number[] {
  if (rows < 4 * k) return [0.01, 0.1, 1];
  return rows < 16 * k ? [0.03] : [0.01];
}

/** GPTQ for layers that share an input: tries dampings, and refines the best of what came out. */
export async function fitGptq(
  fittings: readonly Fitting[],
  gram: Gram,
  product: Products,
  stop: () => void,
): Promise<void> {
  // The order of the inputs, and so the factor, depends on the blocks.
  for (const block of new Set(fittings.map(({ format }) => format.block))) {
    const alike = fittings.filter(({ format }) => format.block === block);
    await fitAlike(alike, block, gram, product, stop);
  }
}

async function fitAlike(
  fittings: readonly Fitting[],
  block: number,
  gram: Gram,
  product: Products,
  stop: () => void,
): Promise<void> {
  const { k, sum, rows } = gram;
  let factor: GptqFactor | undefined;
  let least = Number.POSITIVE_INFINITY;
  const tried = new Set<number>();
  const dampings = dampingsFor(rows, k);
  for (const damping of dampings) {
    const trial = await gptqFactor(sum, k, block, damping, product.float64);
    if (!trial || tried.has(trial.damping)) continue;
    tried.add(trial.damping);
    factor ??= trial;
    if (dampings.length === 1) break;
    let noise = 0;
    // Outputs are independent of each other, so some of them tell which damping is best.
    for (const { weights, format } of fittings) {
      const sample = someOutputs(weights, sampled);
      const judge = await Judge.of(sample, gram, product);
      const quantized = await gptqBlocks(sample, format, trial, product.float32, stop);
      noise += (await judge.try('gptq', quantized, format)).noise;
    }
    // Only the best is held: each takes 8·K² bytes.
    if (noise < least) [factor, least] = [trial, noise];
  }
  if (!factor) return;
  for (const fitting of fittings) {
    const { weights, format, judge } = fitting;
    const quantized = await gptqBlocks(weights, format, factor, product.float32, stop);
    const attempt = await judge.try('gptq', quantized, format);
    consider(fitting, attempt, 'gptq');
    const hessian = dampedHessian(sum, k, factor.damping);
    const refined = await refineBlocks(weights, format, hessian, quantized, sweeps, product.float32, stop);
    consider(fitting, await judge.try('gptq', refined, format), 'gptq');
  }
}

/** So many outputs choose the damping. */
const sampled = 192;

/** Outputs spread evenly over the layer, as [count, K]. */
function someOutputs({ data, k, n, rows }: LinearWeights, count: number): LinearWeights {
  const some = Math.min(n, count);
  const picked = new Float32Array(some * k);
  for (let s = 0; s < some; s++) {
    const row = Math.floor((s * n) / some);
    if (rows === 'n') picked.set(data.subarray(row * k, (row + 1) * k), s * k);
    else for (let i = 0; i < k; i++) picked[s * k + i] = data[i * n + row] as number;
  }
  return { data: picked, k, n: some, rows: 'n' };
}
