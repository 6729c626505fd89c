import type { BlockFormat } from './block-fit.ts';
import type { BlockQuantized } from './block-quantized.ts';
import { BlockWriter } from './block-writer.ts';
import { inverseFactorBlocked } from './blocked-factor.ts';
import type { LinearWeights } from './blockwise.ts';
import { BlockSolver } from './gptq-block.ts';
import { subtractTransposed } from './linear-algebra.ts';
import { isPruned } from './mask.ts';
import type { Product64 } from './matrix-blocks.ts';

/** a [m, k] · b [k, n] → [m, n], wherever that is fast. */
export type Product32 = (a: Float32Array, b: Float32Array, m: number, k: number, n: number) => Promise<Float32Array>;

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
export async function gptqFactor(
  gram: Float32Array | Float64Array,
  k: number,
  block: number,
  damping: number,
  product: Product64,
): Promise<GptqFactor | undefined> {
  return await factorInOrder(gram, k, blockOrder(gram, k, block), damping, product);
}

/** The same, for inputs in this order. */
export async function factorInOrder(
  gram: Float32Array | Float64Array,
  k: number,
  order: Int32Array,
  damping: number,
  product: Product64,
): Promise<GptqFactor | undefined> {
  const mean = meanDiagonal(gram, k);
  if (!(mean > 0) || mean === Number.POSITIVE_INFINITY) return undefined;
  const upper = new Float64Array(k * k);
  for (let share = damping; share <= largestDamping; share *= 10) {
    for (let i = 0; i < k; i++) {
      const from = (order[i] as number) * k;
      for (let j = 0; j < k; j++) upper[i * k + j] = gram[from + (order[j] as number)] as number;
      upper[i * k + i] = (upper[i * k + i] as number) + share * mean;
    }
    if (await inverseFactorBlocked(upper, k, product)) return { k, order, upper, damping: share };
  }
  return undefined;
}

function meanDiagonal(gram: Float32Array | Float64Array, k: number): number {
  let mean = 0;
  for (let i = 0; i < k; i++) mean += (gram[i * k + i] as number) / k;
  return mean;
}

/** xᵀx + damping·mean(diagonal)·I */
export function dampedHessian(gram: Float32Array | Float64Array, k: number, damping: number): Float32Array {
  const hessian = Float32Array.from(gram);
  const mean = meanDiagonal(gram, k);
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

/** Inputs, at least, whose errors are handed on to all behind them at once. */
const GROUP = 64;

/**
 * GPTQ (Frantar et al. 2022): inputs are quantized one after the other, and what each rounding does to the output is
 * made up for by the inputs still to come: with the error e = (w − ŵ)/U_ii, w_j −= U_ij·e for all j behind i. A block's
 * grid is chosen when its turn comes, from its weights as they are by then, among the clipped ranges, as the one with
 * the smallest Σe² over the block, its own error passing included. Errors reach the inputs of a group at once and those
 * behind it in one product for the group. (`signal` and `noise` of the result stay 0: its weights are not meant to be close.)
 * @param onBlock called before each block of inputs; may throw to stop.
 */
export async function gptqBlocks(
  weights: LinearWeights,
  format: BlockFormat,
  factor: GptqFactor,
  product: Product32,
  onBlock?: (done: number, total: number) => void,
): Promise<BlockQuantized> {
  const { k, n } = weights;
  const { order, upper } = factor;
  const { block } = format;
  const blocks = Math.ceil(k / block);
  const current = inOrder(weights, order);
  // Zeros of pruned weights stay zero.
  const gone = isPruned(weights.data) ? Uint8Array.from(current, (w) => (w === 0 ? 1 : 0)) : undefined;
  const result = new BlockWriter(n, blocks, format);
  const solver = new BlockSolver(format, n);
  const ends = groupEnds(order, k, block);

  let done = 0;
  let start = 0;
  for (const end of ends) {
    const first = start;
    const errors = new Float32Array((end - first) * n);
    while (start < end) {
      onBlock?.(done++, blocks);
      const b = Math.floor((order[start] as number) / block);
      const length = Math.min(block, k - b * block);
      const own = errors.subarray((start - first) * n, (start - first + length) * n);
      const places = order.slice(start, start + length).map((input) => input - b * block);
      solver.run(current, start, { index: b, length, places, gone }, cornerOf(upper, k, start, length), own, result);
      const next = start + length;
      subtractTransposed(current, next, end - next, n, upper, start, k, own, length);
      start = next;
    }
    if (end < k) {
      const handed = await product(columnsOf(upper, k, first, end), errors, k - end, end - first, n);
      const at = end * n;
      for (let i = 0; i < handed.length; i++) current[at + i] = (current[at + i] as number) - (handed[i] as number);
    }
  }
  return result.finish();
}

/** Where groups of whole blocks end. */
function groupEnds(order: Int32Array, k: number, block: number): number[] {
  const ends: number[] = [];
  let group = 0;
  for (let start = 0; start < k; ) {
    const b = Math.floor((order[start] as number) / block);
    const length = Math.min(block, k - b * block);
    start += length;
    group += length;
    if (group < GROUP && start < k) continue;
    ends.push(start);
    group = 0;
  }
  return ends;
}

/** upper[first:end, end:]ᵀ as [k − end, end − first] */
export function columnsOf(upper: Float64Array, k: number, first: number, end: number): Float32Array {
  const width = end - first;
  const columns = new Float32Array((k - end) * width);
  for (let i = first; i < end; i++)
    for (let j = end; j < k; j++) columns[(j - end) * width + (i - first)] = upper[i * k + j] as number;
  return columns;
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
