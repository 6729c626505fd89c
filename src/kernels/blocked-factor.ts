import { choleskyUpper, inverseFactor, invertUpper } from './linear-algebra.ts';
import { type Product64, Scratch, subtractBlock, writeBlock } from './matrix-blocks.ts';

/** Rows handled at a time; the loops stay below K³/(K/256)² and all else are products. */
const PANEL = 256;

/** Columns of a triangle handled at a time: what lies below its diagonal is mostly not multiplied. */
const STRIP = 1024;

/**
 * `inverseFactor` for large matrices: the upper triangular U with h⁻¹ = Uᵀ·U, panel by panel from the last, so that nearly
 * all of the work is matrix products, K³/3 multiply-accumulates. In place.
 * @returns false when h is not positive definite; h is spoilt then.
 */
export async function inverseFactorBlocked(h: Float64Array, k: number, product: Product64): Promise<boolean> {
  if (k <= 2 * PANEL) return inverseFactor(h, k);
  const [left, right] = [new Scratch(), new Scratch()];
  const inverses = new Map<number, Float64Array>();
  // h = R·Rᵀ. Panel J: R[:, J]·R[J, J]ᵀ = h[:, J] − R[:, behind J]·R[J, behind J]ᵀ
  for (let to = k; to > 0; to -= PANEL) {
    const from = Math.max(0, to - PANEL);
    const width = to - from;
    const behind = k - to;
    if (behind > 0) {
      const turned = right.transposed(h, k, from, to, to, k);
      const done = await product(left.copy(h, k, 0, to, to, k), turned, to, behind, width);
      subtractBlock(h, k, 0, from, done, to, width);
    }
    const corner = left.copy(h, k, from, to, from, to).slice();
    if (!choleskyUpper(corner, width)) return false;
    const inverse = corner.slice();
    invertUpper(inverse, width);
    inverses.set(from, inverse);
    writeBlock(h, k, from, from, corner, width, width);
    if (from === 0) break;
    const turned = right.transposed(inverse, width, 0, width, 0, width);
    const above = await product(left.copy(h, k, 0, from, from, to), turned, from, width, width);
    writeBlock(h, k, 0, from, above, from, width);
    for (let row = from; row < to; row++) h.fill(0, row * k, row * k + from);
  }
  // U = R⁻¹. Panel I: U[I, behind I] = −R[I, I]⁻¹·R[I, behind I]·U[behind I, behind I]
  const starts = [...inverses.keys()].sort((a, b) => b - a);
  for (const from of starts) {
    const inverse = inverses.get(from) as Float64Array;
    const width = Math.sqrt(inverse.length);
    const to = from + width;
    if (to < k) {
      const factor = await product(inverse, left.copy(h, k, from, to, to, k), width, width, k - to);
      for (let c0 = to; c0 < k; c0 += STRIP) {
        const c1 = Math.min(k, c0 + STRIP);
        // U is upper triangular: its columns up to c1 have c1 rows.
        const reach = left.copy(factor, k - to, 0, width, 0, c1 - to);
        const part = await product(reach, right.copy(h, k, to, c1, c0, c1), width, c1 - to, c1 - c0);
        for (let i = 0; i < part.length; i++) part[i] = -(part[i] as number);
        writeBlock(h, k, from, c0, part, width, c1 - c0);
      }
    }
    writeBlock(h, k, from, from, inverse, width, width);
  }
  return true;
}

/**
 * Uᵀ·U [k, k], symmetric: the inverse itself from its factor, by K³/6 multiply-accumulates.
 * @param u [k, k], upper triangular
 */
export async function inverseOf(u: Float64Array, k: number, product: Product64): Promise<Float64Array> {
  const [left, right] = [new Scratch(), new Scratch()];
  const inverse = new Float64Array(k * k);
  for (let from = 0; from < k; from += PANEL) {
    const to = Math.min(k, from + PANEL);
    const width = to - from;
    // (Uᵀ·U)[I, J] for J from I on: only the rows up to the end of I are not zero in both.
    const turned = left.transposed(u, k, 0, to, from, to);
    const part = await product(turned, right.copy(u, k, 0, to, from, k), width, to, k - from);
    writeBlock(inverse, k, from, from, part, width, k - from);
  }
  for (let i = 0; i < k; i++) for (let j = 0; j < i; j++) inverse[i * k + j] = inverse[j * k + i] as number;
  return inverse;
}
