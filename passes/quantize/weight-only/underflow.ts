import type { Value } from '../../../src/ir/graph.ts';
import type { BlockFormat } from '../../../src/kernels/block-fit.ts';
import type { BlockQuantized } from '../../../src/kernels/block-quantized.ts';
import type { LinearWeights } from '../../../src/kernels/blockwise.ts';

/** Below these a scale has fewer than four bits left: the codes stand for something else than the weights. */
const coarse = { float32: 2 ** -145, float16: 2 ** -20 } as const;
/** Blocks so small may be lost where they hold less than this share of all squares: dead units hold denormals often. */
const negligible = 1e-6;

/** A sentence when scales that are too small for their type would lose weights that count. */
export function lostToUnderflow(
  value: Value,
  { data, k, n, rows }: LinearWeights,
  { scales }: BlockQuantized,
  format: BlockFormat,
): string | undefined {
  const { block, scaleType } = format;
  const limit = coarse[scaleType];
  if (!scales.some((scale) => Math.abs(scale) < limit)) return undefined;
  const blocks = Math.ceil(k / block);
  let [all, lost, largest, count] = [0, 0, 0, 0];
  for (let row = 0; row < n; row++) {
    for (let b = 0; b < blocks; b++) {
      const small = Math.abs(scales[row * blocks + b] as number) < limit;
      let [squares, extreme] = [0, 0];
      for (let i = b * block; i < Math.min(k, (b + 1) * block); i++) {
        const x = data[rows === 'k' ? i * n + row : row * k + i] as number;
        squares += x * x;
        extreme = Math.max(extreme, Math.abs(x));
      }
      all += squares;
      if (!small || extreme === 0) continue;
      lost += squares;
      largest = Math.max(largest, extreme);
      count++;
    }
  }
  if (count === 0 || lost <= negligible * all) return undefined;
  return `its weights "${value.name}" are too small to be scaled: ${count} of ${n * blocks} blocks, up to ${largest.toPrecision(2)}, would need scales below what ${scaleType} can hold`;
}
