import type { Value } from '../../../src/ir/graph.ts';
import { affineParams, type IntRange } from '../../../src/kernels/quantize.ts';

/** Smallest normal float32: products with smaller scales may be flushed to zero. */
const smallestNormal = 2 ** -126;
/** Channels this far below the largest may be lost: dead ones hold denormals often. */
const negligible = 1e-6;

/** A sentence where even the largest weight would need a scale that is no normal float32. All zero is no loss. */
export function tooSmallToScale({ name }: Value, largest: number, codes: number): string | undefined {
  if (largest === 0 || largest / codes >= smallestNormal) return undefined;
  return `its weights "${name}" are too small to be scaled: the largest is ${largest.toPrecision(2)}, for which the scale would be below the smallest float32 number`;
}

/** Symmetric scales of channels; a sentence where weights that count are too small to be scaled. */
export function rowScales(value: Value, low: Float32Array, high: Float32Array, range: IntRange): Float32Array | string {
  let largest = 0;
  for (let c = 0; c < low.length; c++) largest = Math.max(largest, -(low[c] as number), high[c] as number);
  const why = tooSmallToScale(value, largest, range.max);
  if (why !== undefined) return why;
  return Float32Array.from(low, (min, c) => {
    const max = high[c] as number;
    const { scale } = affineParams(min, max, range, true);
    // A channel of next to nothing: every code is zero.
    return Math.max(-min, max) < negligible * largest && scale < smallestNormal ? 1 : scale;
  });
}
