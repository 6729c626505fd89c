/** Small dense linear algebra, row-major. */

/**
 * Adds xᵀx of `count` rows to `sum` [k, k].
 * @param x [count, k]
 */
export function addGram(sum: Float32Array | Float64Array, x: ArrayLike<number>, count: number, k: number): void {
  for (let i = 0; i < k; i++) {
    const row = i * k;
    for (let r = 0; r < count; r++) {
      const at = r * k;
      const factor = x[at + i] as number;
      if (factor === 0) continue;
      for (let j = i; j < k; j++) sum[row + j] = (sum[row + j] as number) + factor * (x[at + j] as number);
    }
    for (let j = i + 1; j < k; j++) sum[j * k + i] = sum[row + j] as number;
  }
}

/** row += factor · (a row of b); what is multiplied by zero adds nothing, whatever it is. */
function addRow(row: Float64Array, factor: number, b: Float32Array | Float64Array, at: number): void {
  if (factor === 0) return;
  for (let c = 0; c < row.length; c++) row[c] = (row[c] as number) + factor * (b[at + c] as number);
}

/** a [m, k] · b [k, n] → [m, n], summed in float64 and stored as `Type`. */
export function multiply<T extends Float32Array | Float64Array>(
  a: T,
  b: T,
  m: number,
  k: number,
  n: number,
  Type: new (length: number) => T,
): T {
  const product = new Type(m * n);
  const row = new Float64Array(n);
  for (let i = 0; i < m; i++) {
    row.fill(0);
    let j = 0;
    // Four at a time, one added behind the other as the rest is, so that a sum is the same whatever it is part of.
    for (; j + 3 < k; j += 4) {
      const from = i * k + j;
      const f0 = a[from] as number;
      const f1 = a[from + 1] as number;
      const f2 = a[from + 2] as number;
      const f3 = a[from + 3] as number;
      if (f0 === 0 || f1 === 0 || f2 === 0 || f3 === 0) {
        for (let one = j; one < j + 4; one++) addRow(row, a[i * k + one] as number, b, one * n);
        continue;
      }
      const [b0, b1, b2, b3] = [j * n, (j + 1) * n, (j + 2) * n, (j + 3) * n];
      for (let c = 0; c < n; c++)
        row[c] =
          (row[c] as number) +
          f0 * (b[b0 + c] as number) +
          f1 * (b[b1 + c] as number) +
          f2 * (b[b2 + c] as number) +
          f3 * (b[b3 + c] as number);
    }
    for (; j < k; j++) addRow(row, a[i * k + j] as number, b, j * n);
    product.set(row, i * n);
  }
  return product;
}

/**
 * c −= aᵀ · b, four rows of a and b at a time.
 * @param c [m, n], rows from `row` on
 * @param a [k, pitch], of which columns `column` … `column + m − 1` are read
 * @param b [k, n]
 */
export function subtractTransposed(
  c: Float32Array,
  row: number,
  m: number,
  n: number,
  a: Float64Array,
  aRow: number,
  pitch: number,
  b: Float32Array,
  k: number,
): void {
  for (let j = row; j < row + m; j++) {
    const at = j * n;
    let i = 0;
    for (; i + 3 < k; i += 4) {
      const base = (aRow + i) * pitch + j;
      const a0 = a[base] as number;
      const a1 = a[base + pitch] as number;
      const a2 = a[base + 2 * pitch] as number;
      const a3 = a[base + 3 * pitch] as number;
      if (a0 === 0 && a1 === 0 && a2 === 0 && a3 === 0) continue;
      const [b0, b1, b2, b3] = [i * n, (i + 1) * n, (i + 2) * n, (i + 3) * n];
      for (let x = 0; x < n; x++) {
        c[at + x] =
          (c[at + x] as number) -
          a0 * (b[b0 + x] as number) -
          a1 * (b[b1 + x] as number) -
          a2 * (b[b2 + x] as number) -
          a3 * (b[b3 + x] as number);
      }
    }
    for (; i < k; i++) {
      const factor = a[(aRow + i) * pitch + j] as number;
      for (let x = 0; x < n; x++) c[at + x] = (c[at + x] as number) - factor * (b[i * n + x] as number);
    }
  }
}

/**
 * The upper triangular R with h = R·Rᵀ: Cholesky from the last row up. In place, the part below the diagonal set to zero.
 * @param h [k, k], symmetric
 * @returns false when h is not positive definite; h is spoilt then.
 */
export function choleskyUpper(h: Float64Array, k: number): boolean {
  for (let j = k - 1; j >= 0; j--) {
    const rowJ = j * k;
    const pivot = (h[rowJ + j] as number) - dot(h, rowJ + j + 1, rowJ + j + 1, k - j - 1);
    if (!(pivot > 0) || pivot === Number.POSITIVE_INFINITY) return false;
    const root = Math.sqrt(pivot);
    h[rowJ + j] = root;
    for (let i = 0; i < j; i++) {
      const rowI = i * k;
      h[rowI + j] = ((h[rowI + j] as number) - dot(h, rowI + j + 1, rowJ + j + 1, k - j - 1)) / root;
    }
    for (let i = 0; i < j; i++) h[rowJ + i] = 0;
  }
  return true;
}

/** Σ h[a + i]·h[b + i], in four sums, since each addition waits for the one before. */
function dot(h: Float64Array, a: number, b: number, length: number): number {
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  let i = 0;
  for (; i + 3 < length; i += 4) {
    s0 += (h[a + i] as number) * (h[b + i] as number);
    s1 += (h[a + i + 1] as number) * (h[b + i + 1] as number);
    s2 += (h[a + i + 2] as number) * (h[b + i + 2] as number);
    s3 += (h[a + i + 3] as number) * (h[b + i + 3] as number);
  }
  for (; i < length; i++) s0 += (h[a + i] as number) * (h[b + i] as number);
  return s0 + s1 + s2 + s3;
}

/** The inverse of an upper triangular matrix with a diagonal free of zeros. In place. */
export function invertUpper(r: Float64Array, k: number): void {
  const row = new Float64Array(k);
  for (let i = k - 1; i >= 0; i--) {
    const at = i * k;
    const inverse = 1 / (r[at + i] as number);
    row.fill(0, i);
    for (let j = i + 1; j < k; j++) {
      const factor = r[at + j] as number;
      if (factor === 0) continue;
      for (let c = j; c < k; c++) row[c] = (row[c] as number) - factor * (r[j * k + c] as number);
    }
    r[at + i] = inverse;
    for (let c = i + 1; c < k; c++) r[at + c] = (row[c] as number) * inverse;
  }
}

/**
 * The upper triangular U with h⁻¹ = Uᵀ·U, which GPTQ walks along. From h = R·Rᵀ follows h⁻¹ = (R⁻¹)ᵀ·R⁻¹, so U = R⁻¹ and
 * h itself is never inverted. In place.
 * @returns false when h is not positive definite; h is spoilt then.
 */
export function inverseFactor(h: Float64Array, k: number): boolean {
  if (!choleskyUpper(h, k)) return false;
  invertUpper(h, k);
  return true;
}
