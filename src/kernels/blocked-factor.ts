import { choleskyUpper, inverseFactor, invertUpper } from './linear-algebra.ts';

/** a [m, k] · b [k, n] → [m, n] in float64, wherever that is fast. */
export type Product64 = (a: Float64Array, b: Float64Array, m: number, k: number, n: number) => Promise<Float64Array>;

/** Rows handled at a time; the loops stay below K³/(K/256)² and all else are products. */
const PANEL = 256;

/**
 * `inverseFactor` for large matrices: the upper triangular U with h⁻¹ = Uᵀ·U, panel by panel from the last, so that nearly
 * all of the work is matrix products. In place.
 * @returns false when h is not positive definite; h is spoilt then.
 */
export async function inverseFactorBlocked(h: Float64Array, k: number, product: Product64): Promise<boolean> {
  if (k <= 2 * PANEL) return inverseFactor(h, k);
  const inverses = new Map<number, Float64Array>();
  // h = R·Rᵀ. Panel J: R[:, J]·R[J, J]ᵀ = h[:, J] − R[:, behind J]·R[J, behind J]ᵀ
  for (let to = k; to > 0; to -= PANEL) {
    const from = Math.max(0, to - PANEL);
    const width = to - from;
    const behind = k - to;
    if (behind > 0) {
      const right = transposed(h, k, from, to, to, k);
      const done = await product(copyOf(h, k, 0, to, to, k), right, to, behind, width);
      subtract(h, k, 0, to, from, width, done);
    }
    const corner = copyOf(h, k, from, to, from, to);
    if (!choleskyUpper(corner, width)) return false;
    const inverse = corner.slice();
    invertUpper(inverse, width);
    inverses.set(from, inverse);
    write(h, k, from, from, corner, width, width);
    if (from === 0) break;
    const turned = transposed(inverse, width, 0, width, 0, width);
    write(h, k, 0, from, await product(copyOf(h, k, 0, from, from, to), turned, from, width, width), from, width);
    for (let row = from; row < to; row++) h.fill(0, row * k, row * k + from);
  }
  // U = R⁻¹. Panel I: U[I, behind I] = −R[I, I]⁻¹·R[I, behind I]·U[behind I, behind I]
  const starts = [...inverses.keys()].sort((a, b) => b - a);
  for (const from of starts) {
    const inverse = inverses.get(from) as Float64Array;
    const width = Math.sqrt(inverse.length);
    const to = from + width;
    if (to < k) {
      const rest = copyOf(h, k, to, k, to, k);
      const part = await product(copyOf(h, k, from, to, to, k), rest, width, k - to, k - to);
      const panel = await product(inverse, part, width, width, k - to);
      for (let i = 0; i < panel.length; i++) panel[i] = -(panel[i] as number);
      write(h, k, from, to, panel, width, k - to);
    }
    write(h, k, from, from, inverse, width, width);
  }
  return true;
}

/** h[r0:r1, c0:c1] */
function copyOf(h: Float64Array, pitch: number, r0: number, r1: number, c0: number, c1: number): Float64Array {
  const width = c1 - c0;
  const copy = new Float64Array((r1 - r0) * width);
  for (let r = r0; r < r1; r++) copy.set(h.subarray(r * pitch + c0, r * pitch + c1), (r - r0) * width);
  return copy;
}

/** h[r0:r1, c0:c1]ᵀ */
function transposed(h: Float64Array, pitch: number, r0: number, r1: number, c0: number, c1: number): Float64Array {
  const rows = r1 - r0;
  const copy = new Float64Array(rows * (c1 - c0));
  for (let r = r0; r < r1; r++)
    for (let c = c0; c < c1; c++) copy[(c - c0) * rows + (r - r0)] = h[r * pitch + c] as number;
  return copy;
}

function write(
  h: Float64Array,
  pitch: number,
  row: number,
  column: number,
  block: Float64Array,
  rows: number,
  columns: number,
): void {
  for (let r = 0; r < rows; r++) h.set(block.subarray(r * columns, (r + 1) * columns), (row + r) * pitch + column);
}

function subtract(
  h: Float64Array,
  pitch: number,
  r0: number,
  r1: number,
  column: number,
  width: number,
  by: Float64Array,
): void {
  for (let r = r0; r < r1; r++) {
    const at = r * pitch + column;
    const from = (r - r0) * width;
    for (let c = 0; c < width; c++) h[at + c] = (h[at + c] as number) - (by[from + c] as number);
  }
}
