import { type BlockFit, type BlockFormat, rangeFit, storedBits, storedOffset } from './block-fit.ts';
import type { BlockQuantized } from './block-quantized.ts';
import { BlockWriter } from './block-writer.ts';
import type { Grid } from './grid-search.ts';
import { unpackCodes } from './pack.ts';
import { roundHalfEven } from './round.ts';

/** Over 4-bit weights of so many elements floats are the quicker arithmetic: passes/quantize/weight-only/matmul-nbits.ts has the figures. */
export const smallProduct = 32_768;

/** Weights of a linear layer, K inputs to N outputs: `rows: 'k'` is [K, N] (MatMul), `'n'` is [N, K] (Gemm with transB). */
export interface LinearWeights {
  readonly data: Float32Array;
  readonly k: number;
  readonly n: number;
  readonly rows: 'k' | 'n';
}

/** Writes rows n0 … n1 − 1 of the [N, K] form into `panel`, each row `pitch` long. */
function readRows(weights: LinearWeights, n0: number, n1: number, panel: Float32Array, pitch: number): void {
  const { data, k, n, rows } = weights;
  if (rows === 'n') {
    for (let row = n0; row < n1; row++) panel.set(data.subarray(row * k, (row + 1) * k), (row - n0) * pitch);
    return;
  }
  const count = n1 - n0;
  for (let i = 0, from = n0; i < k; i++, from += n)
    for (let row = 0, to = i; row < count; row++, to += pitch) panel[to] = data[from + row] as number;
}

/** Rows handled at a time: columns of a [K, N] matrix are read by the cache line. */
const PANEL = 16;

/**
 * Codes of every weight, block by block, on the grids that `fit` chooses; round to nearest over the whole range by default.
 * @param importance factor of the squared error of each of the K inputs, for fits that weigh it
 */
export function quantizeBlocks(
  weights: LinearWeights,
  format: BlockFormat,
  fit: BlockFit = rangeFit(format),
  importance?: Float64Array,
): BlockQuantized {
  const { k, n } = weights;
  const { bits, block } = format;
  const blocks = Math.ceil(k / block);
  const levels = 2 ** bits;
  const result = new BlockWriter(n, blocks, format);
  // Rows a power of two apart would fall on the same cache lines.
  const pitch = blocks * block + 16;
  const panel = new Float32Array(PANEL * pitch);
  const whole = new Float64Array(block);
  const last = whole.subarray(0, k - (blocks - 1) * block);
  const rowCodes = new Uint8Array(block);
  for (let n0 = 0; n0 < n; n0 += PANEL) {
    const n1 = Math.min(n, n0 + PANEL);
    readRows(weights, n0, n1, panel, pitch);
    for (let row = n0; row < n1; row++) {
      for (let b = 0; b < blocks; b++) {
        const x = b === blocks - 1 ? last : whole;
        const base = (row - n0) * pitch + b * block;
        for (let i = 0; i < x.length; i++) x[i] = panel[base + i] as number;
        const grid = fit(x, importance?.subarray(b * block, b * block + x.length));
        round(x, grid, levels, rowCodes, result);
        result.write(row, b, grid, rowCodes, x.length);
      }
    }
  }
  return result.finish();
}

/** The nearest codes of a block, as `codeOf` has them, and what they lose. */
function round(x: Float64Array, { scale, zero }: Grid, levels: number, codes: Uint8Array, sums: BlockWriter): void {
  const whole = Math.floor(zero);
  const part = scale === 0 ? roundHalfEven(zero) - whole : zero - whole;
  // Nothing but the zero point stands for a weight that is divided by infinity.
  const by = scale === 0 ? Number.POSITIVE_INFINITY : scale;
  const [last, { length }] = [levels - 1, x];
  let signal = 0;
  let noise = 0;
  for (let i = 0; i < length; i++) {
    const value = x[i] as number;
    let code = roundHalfEven(value / by + part) + whole;
    code = code < 0 ? 0 : code > last ? last : code;
    codes[i] = code;
    const error = value - (code - zero) * scale;
    signal += value * value;
    noise += error * error;
  }
  sums.signal += signal;
  sums.noise += noise;
}

/** The codes [N, blocks·block] as they were chosen, and the zero points [N, blocks] that go with them. */
export function unpackBlocks(
  q: BlockQuantized,
  n: number,
  blocks: number,
  format: BlockFormat,
): { codes: Uint8Array; zeros: Uint8Array | Float32Array } {
  const bits = storedBits(format.bits);
  const offset = storedOffset(format);
  const codes = unpackCodes(q.codes, bits, n * blocks * format.block);
  if (offset > 0) for (let i = 0; i < codes.length; i++) codes[i] = (codes[i] as number) - offset;
  const { zeroPoints } = q;
  if (zeroPoints instanceof Float32Array) return { codes, zeros: zeroPoints };
  if (!zeroPoints) return { codes, zeros: new Uint8Array(n * blocks).fill(2 ** (format.bits - 1)) };
  const bytes = Math.ceil((blocks * bits) / 8);
  const zeros = new Uint8Array(n * blocks);
  for (let row = 0; row < n; row++)
    zeros.set(unpackCodes(zeroPoints.subarray(row * bytes, (row + 1) * bytes), bits, blocks), row * blocks);
  return { codes, zeros };
}

/** The weights that the codes stand for, as [N, K]. */
export function dequantizeBlocks(q: BlockQuantized, n: number, k: number, format: BlockFormat): Float32Array {
  const { block } = format;
  const blocks = Math.ceil(k / block);
  const { codes, zeros } = unpackBlocks(q, n, blocks, format);
  const result = new Float32Array(n * k);
  for (let row = 0; row < n; row++) {
    for (let b = 0; b < blocks; b++) {
      const scale = q.scales[row * blocks + b] as number;
      const zero = zeros[row * blocks + b] as number;
      const from = (row * blocks + b) * block;
      const to = row * k + b * block;
      const length = Math.min(block, k - b * block);
      for (let i = 0; i < length; i++) result[to + i] = ((codes[from + i] as number) - zero) * scale;
    }
  }
  return result;
}
