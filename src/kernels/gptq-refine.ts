import { type BlockFormat, codeOf, storing } from './block-fit.ts';
import { BlockWriter } from './block-writer.ts';
import { type BlockQuantized, dequantizeBlocks, type LinearWeights, unpackBlocks } from './blockwise.ts';

/** Outputs handled at a time: each row of H is read once for all of them. */
const PANEL = 16;

/**
 * Coordinate descent on ½·Δᵀ·H·Δ, Δ = w − ŵ, output by output, from codes that are good already: each code in turn moves to
 * where it is best given all others, then each block's scale does. No step makes the error on H larger.
 * @param hessian [k, k], symmetric, its diagonal free of zeros
 */
export function refineBlocks(
  weights: LinearWeights,
  format: BlockFormat,
  hessian: Float64Array,
  start: BlockQuantized,
  sweeps: number,
  onPanel?: () => void,
): BlockQuantized {
  const { k, n, data, rows } = weights;
  const { block, bits } = format;
  const blocks = Math.ceil(k / block);
  const levels = 2 ** bits;
  const store = storing(format);
  const result = new BlockWriter(n, blocks, format);
  const guess = dequantizeBlocks(start, n, k, format);
  const { codes, zeros: allZeros } = unpackBlocks(start, n, blocks, format);
  const direction = new Float64Array(block);
  const moved = new Float64Array(k);
  const delta = new Float64Array(PANEL * k);
  const gradient = new Float64Array(PANEL * k);
  for (let n0 = 0; n0 < n; n0 += PANEL) {
    onPanel?.();
    const count = Math.min(PANEL, n - n0);
    for (let p = 0; p < count; p++) {
      for (let i = 0; i < k; i++) {
        const w = data[rows === 'k' ? i * n + n0 + p : (n0 + p) * k + i] as number;
        delta[p * k + i] = w - (guess[(n0 + p) * k + i] as number);
      }
    }
    gradient.fill(0);
    for (let i = 0; i < k; i++) {
      for (let p = 0; p < count; p++) addScaled(gradient, p * k, hessian, i * k, delta[p * k + i] as number, k);
    }
    for (let p = 0; p < count; p++) {
      const row = n0 + p;
      const at = p * k;
      const own = codes.subarray(row * blocks * block, (row + 1) * blocks * block);
      const zeros = allZeros.subarray(row * blocks, (row + 1) * blocks);
      const scales = start.scales.slice(row * blocks, (row + 1) * blocks);
      for (let sweep = 0; sweep < sweeps; sweep++) {
        let changes = 0;
        for (let b = 0; b < blocks; b++) {
          const zero = zeros[b] as number;
          const from = b * block;
          const end = Math.min(k, from + block);
          const grid = { scale: scales[b] as number, zero };
          if (grid.scale === 0) continue;
          for (let i = from; i < end; i++) {
            const code = own[i] as number;
            const diagonal = hessian[i * k + i] as number;
            const target = (code - zero) * grid.scale + (gradient[at + i] as number) / diagonal;
            const better = codeOf(target, grid, levels);
            if (better === code) continue;
            const step = (better - code) * grid.scale;
            own[i] = better;
            delta[at + i] = (delta[at + i] as number) - step;
            addScaled(gradient, at, hessian, i * k, -step, k);
            changes++;
          }
          // The scale along v = codes − zero: step = vᵀg / vᵀHv.
          moved.fill(0);
          let slope = 0;
          for (let i = from; i < end; i++) {
            const v = (own[i] as number) - zero;
            direction[i - from] = v;
            slope += v * (gradient[at + i] as number);
            if (v !== 0) addScaled(moved, 0, hessian, i * k, v, k);
          }
          let curvature = 0;
          for (let i = from; i < end; i++) curvature += (direction[i - from] as number) * (moved[i] as number);
          if (!(curvature > 0)) continue;
          const scale = store(grid.scale + slope / curvature);
          const step = scale - grid.scale;
          // What is gained must survive the rounding of the stored scale, and the sign its meaning.
          if (scale * grid.scale <= 0 || !(step * slope - 0.5 * step * step * curvature > 0)) continue;
          scales[b] = scale;
          for (let i = from; i < end; i++)
            delta[at + i] = (delta[at + i] as number) - step * (direction[i - from] as number);
          addScaled(gradient, at, moved, 0, -step, k);
        }
        if (changes === 0) break;
      }
      for (let b = 0; b < blocks; b++) {
        const zero = zeros[b] as number;
        const length = Math.min(block, k - b * block);
        result.write(row, b, { scale: scales[b] as number, zero }, own.slice(b * block, (b + 1) * block), length);
      }
      for (let i = 0; i < k; i++) {
        const w = data[rows === 'k' ? i * n + row : row * k + i] as number;
        result.signal += w * w;
        result.noise += (delta[at + i] as number) ** 2;
      }
    }
  }
  return result.finish();
}

/** to[at + i] += factor · from[start + i] */
function addScaled(
  to: Float64Array,
  at: number,
  from: Float64Array,
  start: number,
  factor: number,
  length: number,
): void {
  if (factor === 0) return;
  for (let i = 0; i < length; i++) to[at + i] = (to[at + i] as number) + factor * (from[start + i] as number);
}
