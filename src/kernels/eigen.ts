/** Eigenvalues, falling, and the eigenvectors as rows in the same order. */
export interface Eigen {
  readonly values: Float64Array;
  /** [n, n] */
  readonly vectors: Float64Array;
}

/** More turns than that are needed for no matrix of finite numbers (EISPACK has the same bound). */
const mostTurns = 50;

/**
 * Eigenvalues of a symmetric matrix: Householder's tridiagonal form, then the implicit QL method (Wilkinson and Reinsch 1971).
 * @param matrix [n, n], symmetric; not changed
 * @returns undefined where it does not converge, which takes numbers that are not finite
 */
export function symmetricEigen(matrix: Float64Array, n: number): Eigen | undefined {
  const { diagonal, beside, reflectors } = tridiagonal(matrix.slice(), n);
  const rows = new Float64Array(n * n);
  for (let i = 0; i < n; i++) rows[i * n + i] = 1;
  if (!implicitQl(diagonal, beside, rows, n)) return undefined;
  for (let r = 0; r < n; r++) reflectBack(rows, r * n, reflectors);
  const order = Array.from({ length: n }, (_, i) => i).sort(
    (a, b) => (diagonal[b] as number) - (diagonal[a] as number),
  );
  const vectors = new Float64Array(n * n);
  for (const [to, from] of order.entries()) vectors.set(rows.subarray(from * n, (from + 1) * n), to * n);
  return { values: Float64Array.from(order, (i) => diagonal[i] as number), vectors };
}

/** I − scale · v·vᵀ on the components from `start` on. */
interface Reflector {
  readonly start: number;
  readonly v: Float64Array;
  readonly scale: number;
}

interface Tridiagonal {
  readonly diagonal: Float64Array;
  /** Entry i stands between i and i + 1; one more, 0, at the end. */
  readonly beside: Float64Array;
  readonly reflectors: readonly Reflector[];
}

/** @param a overwritten */
function tridiagonal(a: Float64Array, n: number): Tridiagonal {
  const diagonal = new Float64Array(n);
  const beside = new Float64Array(n);
  const reflectors: Reflector[] = [];
  for (let k = 0; k < n; k++) diagonal[k] = a[k * n + k] as number;
  for (let k = 0; k + 1 < n; k++) {
    const start = k + 1;
    const size = n - start;
    const v = a.slice(k * n + start, (k + 1) * n);
    let norm = 0;
    for (const x of v) norm += x * x;
    norm = Math.sqrt(norm);
    diagonal[k] = a[k * n + k] as number;
    if (size === 1 || norm === 0) {
      beside[k] = v[0] as number;
      continue;
    }
    const first = v[0] as number;
    const head = first > 0 ? -norm : norm;
    beside[k] = head;
    v[0] = first - head;
    const squares = 2 * norm * (norm + Math.abs(first));
    const scale = 2 / squares;
    reflectors.push({ start, v, scale });
    // w = scale·A·v − (scale²/2)(vᵀ·A·v)·v; A −= v·wᵀ + w·vᵀ
    const w = new Float64Array(size);
    for (let i = 0; i < size; i++) w[i] = scale * dot(a, (start + i) * n + start, v, size);
    const half = (scale / 2) * dot(w, 0, v, size);
    for (let i = 0; i < size; i++) w[i] = (w[i] as number) - half * (v[i] as number);
    for (let i = 0; i < size; i++) {
      const [vi, wi] = [v[i] as number, w[i] as number];
      const row = (start + i) * n + start;
      for (let j = 0; j < size; j++)
        a[row + j] = (a[row + j] as number) - vi * (w[j] as number) - wi * (v[j] as number);
    }
  }
  if (n > 0) diagonal[n - 1] = a[n * n - 1] as number;
  return { diagonal, beside, reflectors };
}

function dot(a: Float64Array, at: number, v: Float64Array, size: number): number {
  let sum = 0;
  for (let i = 0; i < size; i++) sum += (a[at + i] as number) * (v[i] as number);
  return sum;
}

/** Row `at` of the vectors of the tridiagonal matrix becomes one of the matrix itself. */
function reflectBack(rows: Float64Array, at: number, reflectors: readonly Reflector[]): void {
  for (let k = reflectors.length - 1; k >= 0; k--) {
    const { start, v, scale } = reflectors[k] as Reflector;
    const from = at + start;
    const along = scale * dot(rows, from, v, v.length);
    for (let i = 0; i < v.length; i++) rows[from + i] = (rows[from + i] as number) - along * (v[i] as number);
  }
}

/** Turns the tridiagonal matrix into its eigenvalues (in `d`), and the rows along. */
function implicitQl(d: Float64Array, e: Float64Array, rows: Float64Array, n: number): boolean {
  for (let l = 0; l < n; l++) {
    for (let turn = 0; ; turn++) {
      let m = l;
      while (m + 1 < n) {
        const size = Math.abs(d[m] as number) + Math.abs(d[m + 1] as number);
        if (Math.abs(e[m] as number) <= Number.EPSILON * size) break;
        m++;
      }
      if (m === l) break;
      if (turn === mostTurns) return false;
      // Shift towards the eigenvalue of the first two that is nearer to d[l].
      const slope = ((d[l + 1] as number) - (d[l] as number)) / (2 * (e[l] as number));
      const root = Math.hypot(slope, 1);
      let g = (d[m] as number) - (d[l] as number) + (e[l] as number) / (slope + (slope >= 0 ? root : -root));
      let [s, c, p] = [1, 1, 0];
      let i = m - 1;
      for (; i >= l; i--) {
        const f = s * (e[i] as number);
        const b = c * (e[i] as number);
        const r = Math.hypot(f, g);
        e[i + 1] = r;
        if (r === 0) {
          d[i + 1] = (d[i + 1] as number) - p;
          e[m] = 0;
          break;
        }
        s = f / r;
        c = g / r;
        g = (d[i + 1] as number) - p;
        const t = ((d[i] as number) - g) * s + 2 * c * b;
        p = s * t;
        d[i + 1] = g + p;
        g = c * t - b;
        turnRows(rows, i * n, (i + 1) * n, n, c, s);
      }
      if (i >= l) continue;
      d[l] = (d[l] as number) - p;
      e[l] = g;
      e[m] = 0;
    }
  }
  return true;
}

/** (x, y) → (c·x − s·y, s·x + c·y) */
function turnRows(rows: Float64Array, x: number, y: number, n: number, c: number, s: number): void {
  for (let k = 0; k < n; k++) {
    const [a, b] = [rows[x + k] as number, rows[y + k] as number];
    rows[x + k] = c * a - s * b;
    rows[y + k] = s * a + c * b;
  }
}
