/** Sums from which the usual measures of difference follow; sums of parts add up. */
export interface ErrorSums {
  count: number;
  /** Σx², Σy², Σxy, Σ(x − y)², over elements; x is the reference. */
  signal: number;
  other: number;
  dot: number;
  noise: number;
  maxAbs: number;
}

export function emptyErrorSums(): ErrorSums {
  return { count: 0, signal: 0, other: 0, dot: 0, noise: 0, maxAbs: 0 };
}

/**
 * Adds the differences between `reference` and `actual` to `sums`, in float64. Where both are NaN, or the same
 * infinity, there is no difference; where only one is, the difference is infinite.
 * @throws RangeError when the lengths differ
 */
export function addErrors(sums: ErrorSums, reference: ArrayLike<number>, actual: ArrayLike<number>): ErrorSums {
  if (reference.length !== actual.length) {
    throw new RangeError(`cannot compare ${reference.length} numbers with ${actual.length}`);
  }
  let { signal, other, dot, noise, maxAbs } = sums;
  for (let i = 0; i < reference.length; i++) {
    const x = reference[i] as number;
    const y = actual[i] as number;
    const error = Math.abs(x - y);
    if (error < Number.POSITIVE_INFINITY) {
      signal += x * x;
      other += y * y;
      dot += x * y;
      noise += error * error;
      if (error > maxAbs) maxAbs = error;
    } else if (!Object.is(x, y)) {
      noise = Number.POSITIVE_INFINITY;
      maxAbs = Number.POSITIVE_INFINITY;
    }
  }
  sums.count += reference.length;
  return Object.assign(sums, { signal, other, dot, noise, maxAbs });
}

/** 20·log10(‖x‖ / ‖x − y‖) in decibels: Infinity for equal tensors, −Infinity when only the error is not zero. */
export function sqnrDb(sums: ErrorSums): number {
  if (sums.noise === 0) return Number.POSITIVE_INFINITY;
  return 10 * Math.log10(sums.signal / sums.noise);
}

/** Cosine of the angle between the two; 1 when both are zero, 0 when one is, NaN when the difference is infinite. */
export function cosine(sums: ErrorSums): number {
  if (sums.noise === Number.POSITIVE_INFINITY) return Number.NaN;
  if (sums.signal === 0 && sums.other === 0) return 1;
  if (sums.signal === 0 || sums.other === 0) return 0;
  return Math.max(-1, Math.min(1, sums.dot / Math.sqrt(sums.signal * sums.other)));
}

/** Granted per element: atol·max(1, max|reference|) + rtol·|reference|. */
export interface Tolerance {
  readonly rtol: number;
  readonly atol: number;
}

/**
 * Largest |reference − actual| as a share of what is granted for that element: up to 1 the tolerance is kept. Infinity
 * where only one is NaN or infinite, or where nothing is granted.
 */
export function toleranceUsed(
  reference: ArrayLike<number>,
  actual: ArrayLike<number>,
  { rtol, atol }: Tolerance,
): number {
  let largest = 1;
  for (let i = 0; i < reference.length; i++) {
    const size = Math.abs(reference[i] as number);
    if (size > largest && size < Number.POSITIVE_INFINITY) largest = size;
  }
  let worst = 0;
  for (let i = 0; i < reference.length; i++) {
    const x = reference[i] as number;
    const y = actual[i] as number;
    if (x === y || Object.is(x, y)) continue;
    const error = Math.abs(x - y);
    if (!(error < Number.POSITIVE_INFINITY)) return Number.POSITIVE_INFINITY;
    worst = Math.max(worst, error / (atol * largest + rtol * Math.abs(x)));
  }
  return worst;
}
