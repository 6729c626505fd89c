import { f16ToF32, f32ToF16 } from './f16.ts';
import { type CodeBits, packCodes, unpackCodes } from './pack.ts';
import { roundHalfEven } from './round.ts';

/** Weights of a linear layer, K inputs to N outputs: `rows: 'k'` is [K, N] (MatMul), `'n'` is [N, K] (Gemm with transB). */
export interface LinearWeights {
  readonly data: Float32Array;
  readonly k: number;
  readonly n: number;
  readonly rows: 'k' | 'n';
}

export interface BlockFormat {
  readonly bits: CodeBits;
  /** Weights along K that share a scale. */
  readonly block: number;
  /** Without zero points: the code 2^(bits−1) stands for zero. */
  readonly symmetric: boolean;
  /** Type in which the scales are stored; the codes are chosen for the stored scale. */
  readonly scaleType: 'float32' | 'float16';
}

/**
 * The layout of com.microsoft.MatMulNBits. x̂ = (code − zeroPoint) · scale.
 * codes [N, blocks, block·bits/8] bytes along K, tail padded with the zero point; scales [N, blocks];
 * zeroPoints [N, ceil(blocks·bits/8)] bytes, each row padded; undefined when symmetric.
 */
export interface BlockQuantized {
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
  readonly zeroPoints: Uint8Array | undefined;
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
 * Round to nearest, block by block. Symmetric: the value of largest magnitude lands exactly on code 0, so the scale
 * may be negative (ONNX Runtime's rule; about 1 dB better than ±(2^(bits−1) − 1)). Asymmetric: the block's range,
 * widened to hold zero.
 */
export function quantizeBlocks(weights: LinearWeights, format: BlockFormat): BlockQuantized {
  const { k, n } = weights;
  const { bits, block, symmetric } = format;
  const blocks = Math.ceil(k / block);
  const stride = blocks * block;
  const levels = 2 ** bits;
  // Rows a power of two apart would fall on the same cache lines.
  const pitch = stride + 16;
  const panel = new Float32Array(PANEL * pitch);
  const rowCodes = new Uint8Array(stride);
  const rowZeros = new Uint8Array(blocks);
  const rowBytes = (stride * bits) / 8;
  const zeroBytes = Math.ceil((blocks * bits) / 8);
  const codes = new Uint8Array(n * rowBytes);
  const scales = new Float32Array(n * blocks);
  const zeroPoints = symmetric ? undefined : new Uint8Array(n * zeroBytes);
  const store = format.scaleType === 'float16' ? roundToHalf : Math.fround;
  let signal = 0;
  let noise = 0;

  for (let n0 = 0; n0 < n; n0 += PANEL) {
    const n1 = Math.min(n, n0 + PANEL);
    readRows(weights, n0, n1, panel, pitch);
    for (let row = n0; row < n1; row++) {
      const base = (row - n0) * pitch;
      for (let b = 0; b < blocks; b++) {
        const start = b * block;
        const end = Math.min(k, start + block);
        let low = 0;
        let high = 0;
        for (let i = start; i < end; i++) {
          const x = panel[base + i] as number;
          if (x < low) low = x;
          else if (x > high) high = x;
        }
        const extreme = -low > high ? low : high;
        const scale = store(symmetric ? -extreme / (levels / 2) : (high - low) / (levels - 1));
        let zero = levels / 2;
        if (!symmetric) zero = scale === 0 ? 0 : Math.min(levels - 1, Math.max(0, roundHalfEven(-low / scale)));
        scales[row * blocks + b] = scale;
        rowZeros[b] = zero;
        for (let i = start; i < end; i++) {
          const x = panel[base + i] as number;
          const q = scale === 0 ? zero : roundHalfEven(x / scale) + zero;
          const code = q < 0 ? 0 : q >= levels ? levels - 1 : q;
          rowCodes[i] = code;
          const error = x - (code - zero) * scale;
          signal += x * x;
          noise += error * error;
        }
        rowCodes.fill(zero, end, start + block);
      }
      codes.set(packCodes(rowCodes, bits), row * rowBytes);
      zeroPoints?.set(packCodes(rowZeros, bits), row * zeroBytes);
    }
  }
  return { codes, scales, zeroPoints, signal, noise };
}

/** The weights that the codes stand for, as [N, K]. */
export function dequantizeBlocks(q: BlockQuantized, n: number, k: number, format: BlockFormat): Float32Array {
  const { bits, block } = format;
  const blocks = Math.ceil(k / block);
  const rowBytes = (blocks * block * bits) / 8;
  const zeroBytes = Math.ceil((blocks * bits) / 8);
  const result = new Float32Array(n * k);
  for (let row = 0; row < n; row++) {
    const codes = unpackCodes(q.codes.subarray(row * rowBytes, (row + 1) * rowBytes), bits, k);
    const zeros =
      q.zeroPoints && unpackCodes(q.zeroPoints.subarray(row * zeroBytes, (row + 1) * zeroBytes), bits, blocks);
    for (let i = 0; i < k; i++) {
      const b = Math.floor(i / block);
      const zero = zeros ? (zeros[b] as number) : 2 ** (bits - 1);
      result[row * k + i] = ((codes[i] as number) - zero) * (q.scales[row * blocks + b] as number);
    }
  }
  return result;
}

const one = new Float32Array(1);
function roundToHalf(x: number): number {
  one[0] = x;
  return f16ToF32(f32ToF16(one))[0] as number;
}
