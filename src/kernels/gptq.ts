import { type BlockFormat, bestGrid, clipGrids, codeOf, type Grid } from './block-fit.ts';
import { BlockWriter } from './block-writer.ts';
import type { BlockQuantized, LinearWeights } from './blockwise.ts';
import { inverseFactor, subtractTransposed } from './linear-algebra.ts';

/** The factor along which GPTQ hands errors on, for one activation. */
export interface GptqFactor {
  readonly k: number;
  /** Input that is quantized at each place: blocks stay together, those with the most energy come first. */
  readonly order: Int32Array;
  /** [k, k] upper triangular, U with H⁻¹ = Uᵀ·U, rows and columns in that order. */
  readonly upper: Float64Array;
  /** The damping that was needed. */
  readonly damping: number;
}

/** Above this share of the mean diagonal nothing is left of the correlations. */
const largestDamping = 10;

/**
 * Factor of H = xᵀx + damping·mean(diagonal)·I. Damping is raised ten times until H can be factored. Inputs that no
 * sample reached get a diagonal of damping alone: their weights are rounded as they are and take no errors.
 * @param gram xᵀx [k, k]
 * @returns undefined when nothing helps: no input was reached, or the sums are not finite.
 */
export function gptqFactor(
  gram: Float32Array | Float64Array,
  k: number,
  block: number,
  damping = 0.01,
): GptqFactor | undefined {
  let mean = 0;
  for (let i = 0; i < k; i++) mean += (gram[i * k + i] as number) / k;
  if (!(mean > 0) || mean === Number.POSITIVE_INFINITY) return undefined;
  const order = blockOrder(gram, k, block);
  const upper = new Float64Array(k * k);
  for (let share = damping; share <= largestDamping; share *= 10) {
    for (let i = 0; i < k; i++) {
      const from = (order[i] as number) * k;
      for (let j = 0; j < k; j++) upper[i * k + j] = gram[from + (order[j] as number)] as number;
      upper[i * k + i] = (upper[i * k + i] as number) + share * mean;
    }
    if (inverseFactor(upper, k)) return { k, order, upper, damping: share };
  }
  return undefined;
}

/** xᵀx + damping·mean(diagonal)·I */
export function dampedHessian(gram: Float32Array | Float64Array, k: number, damping: number): Float64Array {
  const hessian = Float64Array.from(gram);
  let mean = 0;
  for (let i = 0; i < k; i++) mean += (gram[i * k + i] as number) / k;
  for (let i = 0; i < k; i++) hessian[i * k + i] = (hessian[i * k + i] as number) + damping * mean;
  return hessian;
}

/** Blocks by falling mean of the diagonal, inputs in a block by falling diagonal: errors of what counts find most room. */
function blockOrder(gram: Float32Array | Float64Array, k: number, block: number): Int32Array {
  const energy = (i: number): number => gram[i * k + i] as number;
  const blocks = Array.from({ length: Math.ceil(k / block) }, (_, b) => {
    const inputs = Array.from({ length: Math.min(block, k - b * block) }, (_, i) => b * block + i);
    inputs.sort((a, b) => energy(b) - energy(a));
    return { inputs, mean: inputs.reduce((sum, i) => sum + energy(i), 0) / inputs.length };
  });
  blocks.sort((a, b) => b.mean - a.mean);
  return Int32Array.from(blocks.flatMap(({ inputs }) => inputs));
}

/**
 * GPTQ (Frantar et al. 2022): inputs are quantized one after the other, and what each rounding does to the output is
 * made up for by the inputs still to come: with the error e = (w − ŵ)/U_ii, w_j −= U_ij·e for all j behind i. A block's
 * grid is chosen when its turn comes, from its weights as they are by then, among the clipped ranges, as the one with
 * the smallest Σe² over the block, its own error passing included.
 * @param onBlock called before each block of inputs; may throw to stop.
 */
export function gptqBlocks(
  weights: LinearWeights,
  format: BlockFormat,
  factor: GptqFactor,
  onBlock?: (done: number, total: number) => void,
): BlockQuantized {
  const { k, n } = weights;
  const { order, upper } = factor;
  const { block } = format;
  const blocks = Math.ceil(k / block);
  const current = inOrder(weights, order);
  const original = current.slice();
  const result = new BlockWriter(n, blocks, format);
  const errors = new Float32Array(block * n);
  const gridsFor = clipGrids(format);
  const levels = 2 ** format.bits;
  const codes = new Uint8Array(block);
  const placed = new Uint8Array(block);

  let done = 0;
  for (let start = 0; start < k; ) {
    onBlock?.(done++, blocks);
    const b = Math.floor((order[start] as number) / block);
    const length = Math.min(block, k - b * block);
    const x = new Float64Array(length);
    const scratch = new Float64Array(length);
    const error = new Float64Array(length);
    const corner = cornerOf(upper, k, start, length);
    for (let column = 0; column < n; column++) {
      for (let i = 0; i < length; i++) x[i] = current[(start + i) * n + column] as number;
      const pass = (grid: Grid, limit: number): number =>
        passErrors(x, scratch, error, codes, corner, grid, levels, limit);
      let lowest = Number.POSITIVE_INFINITY;
      const grid = bestGrid(gridsFor(x), (candidate) => {
        const cost = pass(candidate, lowest);
        if (cost < lowest) lowest = cost;
        return cost;
      });
      pass(grid, Number.POSITIVE_INFINITY);
      for (let i = 0; i < length; i++) {
        errors[i * n + column] = error[i] as number;
        const code = codes[i] as number;
        const value = original[(start + i) * n + column] as number;
        placed[(order[start + i] as number) - b * block] = code;
        result.signal += value * value;
        result.noise += (value - (code - grid.zero) * grid.scale) ** 2;
      }
      result.write(column, b, grid, placed, length);
    }
    const next = start + length;
    subtractTransposed(current, next, k - next, n, upper, start, k, errors, length);
    start = next;
  }
  return result.finish();
}

/** The weights as [K, N], rows in this order. */
function inOrder({ data, k, n, rows }: LinearWeights, order: Int32Array): Float32Array {
  const result = new Float32Array(k * n);
  for (let i = 0; i < k; i++) {
    const from = order[i] as number;
    if (rows === 'k') result.set(data.subarray(from * n, (from + 1) * n), i * n);
    else for (let column = 0; column < n; column++) result[i * n + column] = data[column * k + from] as number;
  }
  return result;
}

/** Rows and columns start … start + length − 1 of the factor. */
function cornerOf(upper: Float64Array, k: number, start: number, length: number): Float64Array {
  const corner = new Float64Array(length * length);
  for (let i = 0; i < length; i++) {
    const from = (start + i) * k + start;
    corner.set(upper.subarray(from, from + length), i * length);
  }
  return corner;
}

/** Quantizes the weights of a block on a grid, each error passed on within it. @returns Σe², or more than `limit`. */
function passErrors(
  x: Float64Array,
  scratch: Float64Array,
  errors: Float64Array,
  codes: Uint8Array,
  corner: Float64Array,
  grid: Grid,
  levels: number,
  limit: number,
): number {
  const { length } = x;
  scratch.set(x);
  let sum = 0;
  for (let i = 0; i < length; i++) {
    const value = scratch[i] as number;
    const code = codeOf(value, grid, levels);
    const at = i * length;
    const error = (value - (code - grid.zero) * grid.scale) / (corner[at + i] as number);
    codes[i] = code;
    errors[i] = error;
    sum += error * error;
    if (sum > limit) return sum;
    for (let j = i + 1; j < length; j++) scratch[j] = (scratch[j] as number) - (corner[at + j] as number) * error;
  }
  return sum;
}
