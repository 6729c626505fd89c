import { describe, expect, it } from 'vitest';
import { addGram, multiply } from '../../src/kernels/linear-algebra.ts';
import { channelSpectrum, type Factors, heldBy, rankFor, spectrumOf } from '../../src/kernels/low-rank.ts';
import { normals, syntheticLayer } from '../support/synthetic-layer.ts';

const product = async (a: Float64Array, b: Float64Array, m: number, k: number, n: number) =>
  multiply(a, b, m, k, n, Float64Array);

function setUp(n: number, k: number) {
  const layer = syntheticLayer(k, n);
  const x = layer.rows(3 * k, 2);
  const sum = new Float64Array(k * k);
  addGram(sum, x, 3 * k, k);
  const rows = Float32Array.from({ length: n * k }, normals(9));
  return { x, hessian: Float32Array.from(sum), rows };
}

const approximate = ({ outer, inner, rank }: Factors, n: number, k: number): Float32Array =>
  multiply(outer, inner, n, rank, k, Float32Array);

/** Σ (x·(w − ŵ)ᵀ)² */
function lost(x: Float32Array, w: Float32Array, other: Float32Array, n: number, k: number): number {
  let sum = 0;
  for (let row = 0; row < x.length / k; row++)
    for (let r = 0; r < n; r++) {
      let y = 0;
      for (let i = 0; i < k; i++)
        y += (x[row * k + i] as number) * ((w[r * k + i] as number) - (other[r * k + i] as number));
      sum += y * y;
    }
  return sum;
}

describe('low-rank forms', () => {
  it.each([
    [12, 30],
    [30, 12],
  ])(
    'of %i outputs and %i inputs lose exactly the energy that they leave out, less than the plain decomposition',
    async (n, k) => {
      const { x, hessian, rows } = setUp(n, k);
      const spectrum = await spectrumOf(rows, n, k, hessian, product);
      const plain = await spectrumOf(rows, n, k, identity(k), product);
      if (!spectrum || !plain) throw new Error('no spectrum');
      const total = spectrum.energies.reduce((a, b) => a + b, 0);
      expect(total / lost(x, rows, new Float32Array(n * k), n, k)).toBeCloseTo(1, 3);
      for (const rank of [1, 4, 12]) {
        const left = lost(x, rows, approximate(await spectrum.factors(rank), n, k), n, k);
        expect(left / total).toBeCloseTo(1 - heldBy(spectrum.energies, rank), 4);
        if (rank < 12) expect(left).toBeLessThan(lost(x, rows, approximate(await plain.factors(rank), n, k), n, k));
      }
    },
  );

  it('find the rank that holds a share, in steps', () => {
    const energies = Float64Array.of(8, 1, 0.5, 0.3, 0.1, 0.1);
    expect(rankFor(energies, 0.79, 1)).toBe(1);
    expect(rankFor(energies, 0.85, 1)).toBe(2);
    expect(rankFor(energies, 0.85, 4)).toBe(4);
    expect(rankFor(energies, 0.9999, 4)).toBe(6);
    expect(heldBy(energies, 2)).toBeCloseTo(0.9, 10);
  });

  it('split convolutions along their channels, exactly at full rank', async () => {
    const [n, c, taps] = [6, 8, 9];
    const { hessian, rows } = setUp(n, c * taps);
    const spectrum = await channelSpectrum(rows, n, c, taps, hessian, product);
    if (!spectrum) throw new Error('no spectrum');
    for (const rank of [c, 3]) {
      const { channels, core } = await spectrum.split(rank);
      let [error, size] = [0, 0];
      for (let r = 0; r < n; r++)
        for (let j = 0; j < c; j++)
          for (let t = 0; t < taps; t++) {
            let w = 0;
            for (let i = 0; i < rank; i++)
              w += (core[(r * rank + i) * taps + t] as number) * (channels[i * c + j] as number);
            const own = rows[r * c * taps + j * taps + t] as number;
            error += (own - w) ** 2;
            size += own * own;
          }
      if (rank === c) expect(error / size).toBeLessThan(1e-8);
      else expect(error / size).toBeGreaterThan(0.1);
    }
  });

  it('give up on moments that are not positive definite, or not finite', async () => {
    expect(await spectrumOf(new Float32Array(8), 4, 2, new Float32Array(4), product)).toBeUndefined();
    const nan = new Float32Array(4).fill(Number.NaN);
    expect(await spectrumOf(new Float32Array(4).fill(1), 2, 2, nan, product)).toBeUndefined();
  });
});

function identity(k: number): Float32Array {
  const result = new Float32Array(k * k);
  for (let i = 0; i < k; i++) result[i * k + i] = 1;
  return result;
}
