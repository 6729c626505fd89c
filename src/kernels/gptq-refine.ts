import { type BlockFormat, storing } from './block-fit.ts';
import type { BlockQuantized } from './block-quantized.ts';
import { BlockWriter } from './block-writer.ts';
import { dequantizeBlocks, type LinearWeights, unpackBlocks } from './blockwise.ts';
import type { Product32 } from './gptq.ts';
import { isPruned } from './mask.ts';
import { transpose } from './quantize.ts';
import { roundHalfEven } from './round.ts';

/** Inputs, at least, whose changes reach the gradient of all others at once. */
const GROUP = 64;
/** Columns read together: neighbours share cache lines. */
const PANEL = 16;

/**
 * Coordinate descent on ½·Δᵀ·H·Δ, Δ = w − ŵ, output by output, from codes that are good already: each code in turn moves to
 * where it is best given all others, then each block's scale does. No step makes the error on H larger. Changes reach the
 * gradient H·Δ within a group of blocks at once, and beyond it in one product for the group.
 * @param hessian [k, k], symmetric, its diagonal free of zeros
 */
export async function refineBlocks(
  weights: LinearWeights,
  format: BlockFormat,
  hessian: Float32Array,
  start: BlockQuantized,
  sweeps: number,
  product: Product32,
  onGroup?: () => void,
): Promise<BlockQuantized> {
  const { k, n, data, rows } = weights;
  const { block } = format;
  const blocks = Math.ceil(k / block);
  const { codes, zeros } = unpackBlocks(start, n, blocks, format);
  const scales = start.scales.slice();
  const delta = transpose(dequantizeBlocks(start, n, k, format), n, k);
  for (let i = 0; i < k; i++)
    for (let column = 0; column < n; column++) {
      const at = i * n + column;
      delta[at] = (data[rows === 'k' ? at : column * k + i] as number) - (delta[at] as number);
    }
  const gradient = await product(hessian, delta, k, k, n);
  const descent = new BlockDescent(format, n, blocks, codes, scales, zeros, goneOf(weights, block, blocks));
  const perGroup = Math.max(1, Math.ceil(GROUP / block));
  for (let sweep = 0; sweep < sweeps; sweep++) {
    let changes = 0;
    for (let b0 = 0; b0 < blocks; b0 += perGroup) {
      onGroup?.();
      const from = b0 * block;
      const to = Math.min(k, (b0 + perGroup) * block);
      const moved = new Float32Array((to - from) * n);
      for (let b = b0; b * block < to; b++) changes += descent.run(b, hessian, k, gradient, moved, from, to);
      // The group's own rows are up to date.
      const change = await product(columnsOf(hessian, k, from, to), moved, k, to - from, n);
      for (let i = 0; i < k; i++) {
        if (i >= from && i < to) continue;
        for (let at = i * n; at < (i + 1) * n; at++) gradient[at] = (gradient[at] as number) - (change[at] as number);
      }
    }
    if (changes === 0) break;
  }
  const result = new BlockWriter(n, blocks, format);
  for (let row = 0; row < n; row++) {
    for (let b = 0; b < blocks; b++) {
      const at = row * blocks + b;
      const grid = { scale: scales[at] as number, zero: zeros[at] as number };
      result.write(row, b, grid, codes.slice(at * block, (at + 1) * block), Math.min(block, k - b * block));
    }
  }
  return result.finish();
}

/** 1 for the codes of pruned weights, which stay zero, in the order of the codes; undefined where nothing was pruned. */
function goneOf({ data, k, n, rows }: LinearWeights, block: number, blocks: number): Uint8Array | undefined {
  if (!isPruned(data)) return undefined;
  const gone = new Uint8Array(n * blocks * block);
  for (let column = 0; column < n; column++)
    for (let i = 0; i < k; i++)
      if (data[rows === 'k' ? i * n + column : column * k + i] === 0) gone[column * blocks * block + i] = 1;
  return gone;
}

/** hessian[:, from:to] */
function columnsOf(hessian: Float32Array, k: number, from: number, to: number): Float32Array {
  const columns = new Float32Array(k * (to - from));
  for (let i = 0; i < k; i++) columns.set(hessian.subarray(i * k + from, i * k + to), i * (to - from));
  return columns;
}

/** vᵀ·H·v; four rows at a time, whose sums do not wait for each other. */
function quadratic(h: Float64Array, v: Float64Array, length: number): number {
  let total = 0;
  let i = 0;
  for (; i + 3 < length; i += 4) {
    const [h0, h1, h2, h3] = [i * length, (i + 1) * length, (i + 2) * length, (i + 3) * length];
    let [s0, s1, s2, s3] = [0, 0, 0, 0];
    for (let j = 0; j < length; j++) {
      const x = v[j] as number;
      s0 += (h[h0 + j] as number) * x;
      s1 += (h[h1 + j] as number) * x;
      s2 += (h[h2 + j] as number) * x;
      s3 += (h[h3 + j] as number) * x;
    }
    total += (v[i] as number) * s0;
    total += (v[i + 1] as number) * s1;
    total += (v[i + 2] as number) * s2;
    total += (v[i + 3] as number) * s3;
  }
  for (; i < length; i++) {
    let sum = 0;
    for (let j = 0; j < length; j++) sum += (h[i * length + j] as number) * (v[j] as number);
    total += (v[i] as number) * sum;
  }
  return total;
}

/** One step of descent for each code of a block, then one for its scale, for all outputs. */
class BlockDescent {
  readonly #format: BlockFormat;
  readonly #n: number;
  readonly #blocks: number;
  readonly #codes: Uint8Array;
  readonly #scales: Float32Array;
  readonly #zeros: Uint8Array | Float32Array;
  readonly #gone: Uint8Array | undefined;
  readonly #store: (x: number) => number;

  constructor(
    format: BlockFormat,
    n: number,
    blocks: number,
    codes: Uint8Array,
    scales: Float32Array,
    zeros: Uint8Array | Float32Array,
    gone: Uint8Array | undefined,
  ) {
    this.#format = format;
    this.#n = n;
    this.#blocks = blocks;
    this.#codes = codes;
    this.#scales = scales;
    this.#zeros = zeros;
    this.#gone = gone;
    this.#store = storing(format);
  }

  /**
   * @param gradient H·Δ [k, n]; rows from … to − 1 are kept up to date
   * @param moved receives by how much each weight ŵ of those rows has grown [to − from, n]
   * @returns how many codes changed
   */
  run(
    b: number,
    hessian: Float32Array,
    k: number,
    gradient: Float32Array,
    moved: Float32Array,
    from: number,
    to: number,
  ): number {
    const { block, bits } = this.#format;
    const levels = 2 ** bits;
    const n = this.#n;
    const start = b * block;
    const length = Math.min(block, k - start);
    const corner = new Float64Array(length * length);
    for (let i = 0; i < length; i++)
      for (let j = 0; j < length; j++) corner[i * length + j] = hessian[(start + i) * k + start + j] as number;
    const own = new Float64Array(length * PANEL);
    const change = new Float64Array(length * PANEL);
    const direction = new Float64Array(length);
    const gone = this.#gone;
    let changes = 0;
    for (let n0 = 0; n0 < n; n0 += PANEL) {
      const count = Math.min(PANEL, n - n0);
      for (let i = 0; i < length; i++)
        for (let p = 0; p < count; p++) own[p * length + i] = gradient[(start + i) * n + n0 + p] as number;
      change.fill(0);
      for (let p = 0; p < count; p++) {
        const at = (n0 + p) * this.#blocks + b;
        const grid = { scale: this.#scales[at] as number, zero: this.#zeros[at] as number };
        if (grid.scale === 0) continue;
        const g = own.subarray(p * length, (p + 1) * length);
        const grown = change.subarray(p * length, (p + 1) * length);
        const codes = this.#codes.subarray(at * block, at * block + length);
        const { scale: by, zero } = grid;
        const whole = Math.floor(zero);
        const part = zero - whole;
        for (let i = 0; i < length; i++) {
          if (gone !== undefined && gone[at * block + i] === 1) continue;
          const code = codes[i] as number;
          const target = (code - zero) * by + (g[i] as number) / (corner[i * length + i] as number);
          // As `codeOf` has it.
          let better = roundHalfEven(target / by + part) + whole;
          better = better < 0 ? 0 : better >= levels ? levels - 1 : better;
          if (better === code) continue;
          const step = (better - code) * by;
          codes[i] = better;
          grown[i] = (grown[i] as number) + step;
          for (let j = 0; j < length; j++) g[j] = (g[j] as number) - step * (corner[i * length + j] as number);
          changes++;
        }
        // The scale along v = codes − zero: step = vᵀg / vᵀHv.
        let slope = 0;
        for (let i = 0; i < length; i++) {
          const v = (codes[i] as number) - grid.zero;
          direction[i] = v;
          slope += v * (g[i] as number);
        }
        const curvature = quadratic(corner, direction, length);
        if (!(curvature > 0)) continue;
        const scale = this.#store(grid.scale + slope / curvature);
        const step = scale - grid.scale;
        // What is gained must survive the rounding of the stored scale, and the sign its meaning.
        if (scale * grid.scale <= 0 || !(step * slope - 0.5 * step * step * curvature > 0)) continue;
        this.#scales[at] = scale;
        for (let i = 0; i < length; i++) grown[i] = (grown[i] as number) + step * (direction[i] as number);
      }
      this.#spread(hessian, k, gradient, moved, change, { start, length, from, to, n0, count });
    }
    return changes;
  }

  /** gradient[from:to] −= H[from:to, block]·change, moved += change. */
  #spread(
    hessian: Float32Array,
    k: number,
    gradient: Float32Array,
    moved: Float32Array,
    change: Float64Array,
    at: { start: number; length: number; from: number; to: number; n0: number; count: number },
  ): void {
    const n = this.#n;
    const { start, length, from, to, n0, count } = at;
    for (let i = 0; i < length; i++) {
      const row = (start + i - from) * n + n0;
      for (let p = 0; p < count; p++) moved[row + p] = (moved[row + p] as number) + (change[p * length + i] as number);
    }
    const turned = new Float64Array(length * count);
    for (let i = 0; i < length; i++)
      for (let p = 0; p < count; p++) turned[i * count + p] = change[p * length + i] as number;
    for (let r = from; r < to; r++) {
      const row = r * n + n0;
      for (let i = 0; i < length; i++) {
        const factor = hessian[r * k + start + i] as number;
        for (let p = 0; p < count; p++)
          gradient[row + p] = (gradient[row + p] as number) - factor * (turned[i * count + p] as number);
      }
    }
  }
}
