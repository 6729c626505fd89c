import { type BlockFit, type BlockFormat, codeOf, type Grid, rangeFit } from './block-fit.ts';
import { type CodeBits, packCodes, unpackCodes } from './pack.ts';

/** Weights of a linear layer, K inputs to N outputs: `rows: 'k'` is [K, N] (MatMul), `'n'` is [N, K] (Gemm with transB). */
export interface LinearWeights {
  readonly data: Float32Array;
  readonly k: number;
  readonly n: number;
  readonly rows: 'k' | 'n';
}

/**
 * The layout of com.microsoft.MatMulNBits. x̂ = (code − zeroPoint) · scale.
 * codes [N, blocks, block·bits/8] bytes along K, tail padded with the zero point; scales [N, blocks];
 * zeroPoints [N, ceil(blocks·bits/8)] bytes, each row padded, or real numbers [N, blocks]; undefined when symmetric.
 */
export interface BlockQuantized {
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
  readonly zeroPoints: Uint8Array | Float32Array | undefined;
  /** Σx² and Σ(x − x̂)² over all weights. */
  readonly signal: number;
  readonly noise: number;
}

/** Writes rows n0 … n1 − 1 of the [N, K] form into `panel`, each row `pitch` long. */
function readRows(weights: LinearWeights, n0: number, n1: number, panel: Float32Array, pitch: number): void {
  const { data, k, n, rows } = weights;
  if (rows === 'n') {
    for (let row = n0; row < n1; row++) panel.set(data.subarray(row * k, (row + 1) * k), (row - n0) * pitch);
    return;
  }
  for (let i = 0; i < k; i++) {
    const from = i * n;
    for (let row = n0; row < n1; row++) panel[(row - n0) * pitch + i] = data[from + row] as number;
  }
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
        const { scale, zero } = grid;
        let [signal, noise] = [0, 0];
        for (let i = 0; i < x.length; i++) {
          const value = x[i] as number;
          const code = codeOf(value, grid, levels);
          rowCodes[i] = code;
          const error = value - (code - zero) * scale;
          signal += value * value;
          noise += error * error;
        }
        result.write(row, b, grid, rowCodes, x.length);
        result.signal += signal;
        result.noise += noise;
      }
    }
  }
  return result.finish();
}

/** Collects blocks in any order. */
export class BlockWriter {
  signal = 0;
  noise = 0;
  readonly #format: BlockFormat;
  readonly #blocks: number;
  readonly #codes: Uint8Array;
  readonly #scales: Float32Array;
  readonly #zeros: Float32Array;

  constructor(n: number, blocks: number, format: BlockFormat) {
    this.#format = format;
    this.#blocks = blocks;
    this.#codes = new Uint8Array((n * blocks * format.block * format.bits) / 8);
    this.#scales = new Float32Array(n * blocks);
    this.#zeros = new Float32Array(n * blocks);
  }

  /** The first `length` of `codes` (of a whole block's length; the rest is overwritten with padding). */
  write(row: number, block: number, { scale, zero }: Grid, codes: Uint8Array, length: number): void {
    const at = row * this.#blocks + block;
    this.#scales[at] = scale;
    this.#zeros[at] = zero;
    codes.fill(Math.min(2 ** this.#format.bits - 1, Math.max(0, zero)), length);
    const from = (at * codes.length * this.#format.bits) / 8;
    if (this.#format.bits === 4) {
      // Without a small array for each block.
      for (let i = 0; i < codes.length; i += 2)
        this.#codes[from + (i >> 1)] = (codes[i] as number) | ((codes[i + 1] as number) << 4);
    } else {
      this.#codes.set(packCodes(codes, this.#format.bits), from);
    }
  }

  finish(): BlockQuantized {
    const { signal, noise } = this;
    return { codes: this.#codes, scales: this.#scales, zeroPoints: this.#zeroPoints(), signal, noise };
  }

  #zeroPoints(): Uint8Array | Float32Array | undefined {
    const { symmetric, floatZeros, bits } = this.#format;
    if (symmetric) return undefined;
    if (floatZeros) return this.#zeros;
    const rowBytes = Math.ceil((this.#blocks * bits) / 8);
    const rows = this.#zeros.length / this.#blocks;
    const packed = new Uint8Array(rows * rowBytes);
    for (let row = 0; row < rows; row++) {
      const zeros = Uint8Array.from(this.#zeros.subarray(row * this.#blocks, (row + 1) * this.#blocks));
      packed.set(packCodes(zeros, bits), row * rowBytes);
    }
    return packed;
  }
}

/** The weights that the codes stand for, as [N, K]. */
export function dequantizeBlocks(q: BlockQuantized, n: number, k: number, format: BlockFormat): Float32Array {
  const { bits, block } = format;
  const blocks = Math.ceil(k / block);
  const rowBytes = (blocks * block * bits) / 8;
  const result = new Float32Array(n * k);
  for (let row = 0; row < n; row++) {
    const codes = unpackCodes(q.codes.subarray(row * rowBytes, (row + 1) * rowBytes), bits, k);
    const zeros = zerosOf(q, row, blocks, bits);
    for (let i = 0; i < k; i++) {
      const b = Math.floor(i / block);
      const zero = zeros ? (zeros[b] as number) : 2 ** (bits - 1);
      result[row * k + i] = ((codes[i] as number) - zero) * (q.scales[row * blocks + b] as number);
    }
  }
  return result;
}

function zerosOf(
  { zeroPoints }: BlockQuantized,
  row: number,
  blocks: number,
  bits: CodeBits,
): Uint8Array | Float32Array | undefined {
  if (zeroPoints instanceof Float32Array) return zeroPoints.subarray(row * blocks, (row + 1) * blocks);
  const bytes = Math.ceil((blocks * bits) / 8);
  return zeroPoints && unpackCodes(zeroPoints.subarray(row * bytes, (row + 1) * bytes), bits, blocks);
}
