import { dampedHessian, gptqBlocks, gptqFactor } from '../../../src/kernels/gptq.ts';
import { refineBlocks } from '../../../src/kernels/gptq-refine.ts';
import type { Gram } from '../../../src/pass/pass.ts';
import { type Attempt, consider, type Fitting } from './judge.ts';
import type { Products } from './product.ts';

/** Coordinate descent after GPTQ: most of its gain comes in two sweeps. */
const sweeps = 2;
/** Beyond so many inputs the sums and their factor would take more than 2 GB. */
export const mostInputs = 12_288;

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
  const dampings = new Map<Attempt, number>();
  for (const damping of dampingsFor(rows, k)) {
    const factor = await gptqFactor(sum, k, block, damping, product.float64);
    if (!factor) continue;
    for (const fitting of fittings) {
      const { weights, format, judge } = fitting;
      const quantized = await gptqBlocks(weights, format, factor, product.float32, stop);
      const attempt = await judge.try('gptq', quantized, format);
      dampings.set(attempt, factor.damping);
      consider(fitting, attempt, 'gptq');
    }
  }
  for (const fitting of fittings) {
    const { weights, format, judge, asked } = fitting;
    const damping = asked && dampings.get(asked);
    if (!asked || damping === undefined) continue;
    const hessian = dampedHessian(sum, k, damping);
    const refined = await refineBlocks(weights, format, hessian, asked.quantized, sweeps, product.float32, stop);
    consider(fitting, await judge.try('gptq', refined, format), 'gptq');
  }
}
