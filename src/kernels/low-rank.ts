import { symmetricEigen } from './eigen.ts';
import { choleskyUpper, invertUpper } from './linear-algebra.ts';
import type { Product64 } from './matrix-blocks.ts';

/** w [n, k] ≈ outer [n, r] · inner [r, k] */
export interface Factors {
  readonly rank: number;
  readonly outer: Float32Array;
  readonly inner: Float32Array;
}

/** What each further rank adds to the output of a layer. */
export interface Spectrum {
  /** Falling; Σ is Σ(x·wᵀ)² over the rows that the second moments are of. */
  readonly energies: Float64Array;
  /** The factors of this rank with the least squared error of the output. */
  factors(rank: number): Promise<Factors>;
}

/**
 * Low-rank forms of a layer, weighed by its activations: among all of a rank the one whose outputs x·wᵀ are nearest, which is the
 * principal part of w·H·wᵀ (or, for more outputs than inputs, of Sᵀ·wᵀ·w·S with H = S·Sᵀ).
 * @param rows w [n, k]
 * @param hessian H = xᵀx [k, k], positive definite
 * @returns undefined where H is not, or is not finite
 */
export async function spectrumOf(
  rows: Float32Array,
  n: number,
  k: number,
  hessian: Float32Array,
  product: Product64,
): Promise<Spectrum | undefined> {
  const w = Float64Array.from(rows);
  if (n <= k) {
    const weighed = await product(w, Float64Array.from(hessian), n, k, k);
    const square = await product(weighed, turned(w, n, k), n, k, n);
    const eigen = symmetricEigen(symmetrized(square, n), n);
    if (!eigen) return undefined;
    return {
      energies: eigen.values.map((x) => Math.max(0, x)),
      async factors(rank) {
        const basis = eigen.vectors.slice(0, rank * n);
        const inner = await product(basis, w, rank, n, k);
        return { rank, outer: Float32Array.from(turned(basis, rank, n)), inner: Float32Array.from(inner) };
      },
    };
  }
  const root = Float64Array.from(hessian);
  if (!choleskyUpper(root, k)) return undefined;
  const weighed = await product(w, root, n, k, k);
  const square = await product(turned(weighed, n, k), weighed, k, n, k);
  const eigen = symmetricEigen(symmetrized(square, k), k);
  if (!eigen) return undefined;
  const inverse = root.slice();
  invertUpper(inverse, k);
  return {
    energies: eigen.values.map((x) => Math.max(0, x)),
    async factors(rank) {
      const basis = eigen.vectors.slice(0, rank * k);
      const outer = await product(weighed, turned(basis, rank, k), n, k, rank);
      const inner = await product(basis, inverse, rank, k, k);
      return { rank, outer: Float32Array.from(outer), inner: Float32Array.from(inner) };
    },
  };
}

/** The smallest rank that holds this share of the energy, a multiple of `step` unless that is more than there is. */
export function rankFor(energies: Float64Array, share: number, step: number): number {
  const total = energies.reduce((a, b) => a + b, 0);
  let [rank, held] = [0, 0];
  while (rank < energies.length && held < share * total) held += energies[rank++] as number;
  return Math.min(energies.length, Math.max(step, Math.ceil(rank / step) * step));
}

/** Share of the energy that a rank holds. */
export function heldBy(energies: Float64Array, rank: number): number {
  const total = energies.reduce((a, b) => a + b, 0);
  return total > 0 ? energies.subarray(0, rank).reduce((a, b) => a + b, 0) / total : 1;
}

/** A convolution of few channels between two that gather and spread them (Tucker-2): [n, c, taps] ≈ outer · core · channels. */
export interface Tucker {
  /** [n, outRank] */
  readonly outer: Float32Array;
  /** [outRank, inRank, taps] */
  readonly core: Float32Array;
  /** [inRank, c] */
  readonly channels: Float32Array;
  readonly inRank: number;
  readonly outRank: number;
}

/** The same for the channels that a convolution reads, given what its outputs were brought to. */
export interface ChannelSpectrum {
  readonly energies: Float64Array;
  /** [rank, c] and, for the weights given, [n, rank, taps] */
  split(rank: number): Promise<{ readonly channels: Float32Array; readonly core: Float32Array }>;
}

/**
 * @param rows [n, c · taps]
 * @param hessian [c · taps, c · taps]; the mean over the taps of what it says of the channels counts
 */
export async function channelSpectrum(
  rows: Float32Array,
  n: number,
  c: number,
  taps: number,
  hessian: Float32Array,
  product: Product64,
): Promise<ChannelSpectrum | undefined> {
  const k = c * taps;
  const covariance = new Float64Array(c * c);
  for (let i = 0; i < c; i++)
    for (let j = 0; j < c; j++)
      for (let t = 0; t < taps; t++)
        covariance[i * c + j] =
          (covariance[i * c + j] as number) + (hessian[(i * taps + t) * k + j * taps + t] as number);
  // [n · taps, c]
  const slices = new Float32Array(n * taps * c);
  for (let r = 0; r < n; r++)
    for (let i = 0; i < c; i++)
      for (let t = 0; t < taps; t++) slices[(r * taps + t) * c + i] = rows[r * k + i * taps + t] as number;
  const spectrum = await spectrumOf(slices, n * taps, c, Float32Array.from(covariance), product);
  if (!spectrum) return undefined;
  return {
    energies: spectrum.energies,
    async split(rank) {
      const { outer, inner } = await spectrum.factors(rank);
      const core = new Float32Array(n * rank * taps);
      for (let r = 0; r < n; r++)
        for (let i = 0; i < rank; i++)
          for (let t = 0; t < taps; t++) core[(r * rank + i) * taps + t] = outer[(r * taps + t) * rank + i] as number;
      return { channels: inner, core };
    },
  };
}

/** [rows, columns] → [columns, rows] */
function turned(a: Float64Array, rows: number, columns: number): Float64Array {
  const result = new Float64Array(a.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) result[c * rows + r] = a[r * columns + c] as number;
  return result;
}

/** Rounding leaves products a little askew. */
function symmetrized(a: Float64Array, n: number): Float64Array {
  for (let i = 0; i < n; i++)
    for (let j = 0; j < i; j++) {
      const mean = ((a[i * n + j] as number) + (a[j * n + i] as number)) / 2;
      a[i * n + j] = mean;
      a[j * n + i] = mean;
    }
  return a;
}
