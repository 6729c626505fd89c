import { describe, expect, it } from 'vitest';
import { gptqFactor, type Product32 } from '../../src/kernels/gptq.ts';
import { multiply } from '../../src/kernels/linear-algebra.ts';
import { intRanges, quantizeChannels } from '../../src/kernels/quantize.ts';
import { gptqRows, roundRows, searchScales } from '../../src/kernels/weight-rows.ts';
import { random } from '../support/differential.ts';

const next = random(11);
const normal = (): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
const range = intRanges.int8.reduced;
const [n, k] = [6, 70];
const rows = Float32Array.from({ length: n * k }, normal);
const full = Float32Array.from({ length: n }, (_, r) =>
  Math.fround(Math.max(...rows.subarray(r * k, (r + 1) * k).map(Math.abs)) / range.max),
);

/** xᵀx of correlated rows. */
function correlated(count: number): Float64Array {
  const sum = new Float64Array(k * k);
  for (let r = 0; r < count; r++) {
    const common = normal();
    const x = Array.from({ length: k }, (_, i) => common * (1 + i / k) + 0.5 * normal());
    for (let i = 0; i < k; i++)
      for (let j = 0; j < k; j++) sum[i * k + j] = (sum[i * k + j] as number) + (x[i] as number) * (x[j] as number);
  }
  return sum;
}

describe('weight rows', () => {
  it('roundRows rounds as QuantizeLinear does', () => {
    const expected = quantizeChannels(
      rows,
      { outer: 1, channels: n, inner: k },
      { scales: full, zeroPoints: new Uint8Array(n) },
      range,
    );
    expect([...roundRows(rows, k, full, range).codes]).toEqual([...new Int8Array(expected.buffer)]);
    const one = roundRows(rows, k, Float32Array.of(0.25), range).codes;
    expect(one[3]).toBe(Math.max(-64, Math.min(64, Math.round((rows[3] as number) / 0.25))));
  });

  it('searchScales takes the ratio of least weighted error, for each row or for all', () => {
    const energy = Float64Array.from({ length: k }, (_, i) => (i === 7 ? 1e4 : 1));
    const errorOf = (scales: Float32Array, row: number, weigh: boolean): number => {
      const { codes } = roundRows(rows, k, scales, range);
      let sum = 0;
      for (let i = 0; i < k; i++) {
        const at = row * k + i;
        const scale = scales[scales.length === 1 ? 0 : row] as number;
        sum += (weigh ? (energy[i] as number) : 1) * ((rows[at] as number) - (codes[at] as number) * scale) ** 2;
      }
      return sum;
    };
    for (const weigh of [false, true]) {
      const found = searchScales(rows, k, full, range, weigh ? () => energy : undefined);
      for (let row = 0; row < n; row++) {
        for (let step = 0; step <= 20; step++) {
          const other = full.map((s) => s * (1 - step * 0.02));
          expect(errorOf(found, row, weigh)).toBeLessThanOrEqual(errorOf(other, row, weigh) * (1 + 1e-6));
        }
      }
    }
    const widest = Float32Array.of(Math.max(...full));
    const single = searchScales(rows, k, widest, range);
    const total = (scales: Float32Array): number =>
      Array.from({ length: n }, (_, row) => errorOf(scales, row, false)).reduce((a, b) => a + b);
    expect(single).toHaveLength(1);
    expect(total(single)).toBeLessThanOrEqual(total(widest));
  });

  it('gptqRows leaves zeros of pruned weights at zero', async () => {
    const pruned = rows.map((w, at) => (at % 2 === 0 ? 0 : w));
    const factor = await gptqFactor(correlated(900), k, k, 0.01, async (a, b, m, depth, columns) =>
      multiply(a, b, m, depth, columns, Float64Array),
    );
    if (!factor) throw new Error('no factor');
    const coded = roundRows(pruned, k, full, range);
    const rounded = coded.codes.slice();
    const product: Product32 = async (a, b, m, depth, columns) => multiply(a, b, m, depth, columns, Float32Array);
    await gptqRows(pruned, 0, n, factor, coded, range, product);
    for (let at = 0; at < pruned.length; at += 2) expect(coded.codes[at]).toBe(0);
    expect(coded.codes).not.toEqual(rounded);
  });

  it('gptqRows follows the formula column by column, across its panels, and beats rounding on xᵀx', async () => {
    const gram = correlated(900);
    const factor = await gptqFactor(gram, k, k, 0.01, async (a, b, m, depth, columns) =>
      multiply(a, b, m, depth, columns, Float64Array),
    );
    if (!factor) throw new Error('no factor');
    const coded = roundRows(rows, k, full, range);
    const rounded = coded.codes.slice();
    const product: Product32 = async (a, b, m, depth, columns) => multiply(a, b, m, depth, columns, Float32Array);
    await gptqRows(rows, 0, 3, factor, coded, range, product);
    await gptqRows(rows, 3, 3, factor, coded, range, product);
    let differing = 0;
    for (let row = 0; row < n; row++) {
      const scale = full[row] as number;
      const w = Array.from(factor.order, (i) => rows[row * k + i] as number);
      for (let i = 0; i < k; i++) {
        const code = Math.max(range.min, Math.min(range.max, Math.round((w[i] as number) / scale)));
        const error = ((w[i] as number) - code * scale) / (factor.upper[i * k + i] as number);
        for (let j = i + 1; j < k; j++) w[j] = (w[j] as number) - (factor.upper[i * k + j] as number) * error;
        // Float32 against float64: a tie may fall either way, and what follows it with it.
        if (code !== coded.codes[row * k + (factor.order[i] as number)]) differing++;
      }
    }
    expect(differing).toBeLessThan(n * k * 0.05);
    const noise = (codes: Int8Array): number => {
      let sum = 0;
      for (let row = 0; row < n; row++) {
        const delta = Array.from(
          { length: k },
          (_, i) => (rows[row * k + i] as number) - (codes[row * k + i] as number) * (full[row] as number),
        );
        for (let i = 0; i < k; i++)
          for (let j = 0; j < k; j++) sum += (delta[i] as number) * (gram[i * k + j] as number) * (delta[j] as number);
      }
      return sum;
    };
    expect(10 * Math.log10(noise(rounded) / noise(coded.codes))).toBeGreaterThan(3);
  });
});
