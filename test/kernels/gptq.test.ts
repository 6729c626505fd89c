import { describe, expect, it } from 'vitest';
import type { BlockFormat } from '../../src/kernels/block-fit.ts';
import type { BlockQuantized } from '../../src/kernels/block-quantized.ts';
import { dequantizeBlocks, type LinearWeights, quantizeBlocks } from '../../src/kernels/blockwise.ts';
import type { Product32 } from '../../src/kernels/gptq.ts';
import { dampedHessian, type GptqFactor, gptqBlocks, gptqFactor } from '../../src/kernels/gptq.ts';
import { refineBlocks } from '../../src/kernels/gptq-refine.ts';
import { addGram, inverseFactor, multiply } from '../../src/kernels/linear-algebra.ts';
import type { Product64 } from '../../src/kernels/matrix-blocks.ts';
import { transpose } from '../../src/kernels/quantize.ts';
import { syntheticLayer } from '../support/synthetic-layer.ts';

const [k, n] = [83, 6];
const format: BlockFormat = { bits: 4, block: 16, symmetric: false, scaleType: 'float32' };
const layer = syntheticLayer(k, n);
const weights: LinearWeights = { data: layer.weights, k, n, rows: 'k' };
const gram = new Float64Array(k * k);
addGram(gram, layer.rows(700, 1), 700, k);

const float32: Product32 = async (a, b, rows, inner, columns) => multiply(a, b, rows, inner, columns, Float32Array);
const float64: Product64 = async (a, b, rows, inner, columns) => multiply(a, b, rows, inner, columns, Float64Array);
const factorOf = (sums: Float64Array, size = k, block = format.block, damping = 0.01) =>
  gptqFactor(sums, size, block, damping, float64);
const gptq = (form: LinearWeights, factor: GptqFactor, stop?: (done: number) => void) =>
  gptqBlocks(form, format, factor, float32, stop);

/** Σ over outputs of Δᵀ·H·Δ. */
function cost(q: BlockQuantized, hessian: Float64Array | Float32Array, form = format): number {
  const back = dequantizeBlocks(q, n, k, form);
  const delta = Float64Array.from(back, (x, at) => x - (layer.weights[(at % k) * n + Math.floor(at / k)] as number));
  let sum = 0;
  for (let row = 0; row < n; row++)
    for (let i = 0; i < k; i++)
      for (let j = 0; j < k; j++)
        sum += (delta[row * k + i] as number) * (hessian[i * k + j] as number) * (delta[row * k + j] as number);
  return sum;
}

describe('GPTQ', () => {
  it('leaves zeros of pruned weights at zero, in the codes and after the descent, and still beats rounding', async () => {
    const data = layer.weights.map((w, at) => (at % 3 === 0 ? 0 : w));
    const pruned: LinearWeights = { data, k, n, rows: 'k' };
    const factor = await factorOf(gram);
    if (!factor) throw new Error('no factor');
    const q = await gptq(pruned, factor);
    const hessian = dampedHessian(gram, k, 0.01);
    for (const one of [q, await refineBlocks(pruned, format, hessian, q, 2, float32)]) {
      const back = dequantizeBlocks(one, n, k, format);
      let moved = 0;
      for (let i = 0; i < k; i++)
        for (let column = 0; column < n; column++) {
          if ((i * n + column) % 3 === 0) expect(back[column * k + i]).toBe(0);
          else if (back[column * k + i] === 0) moved++;
        }
      expect(moved).toBeLessThan(k);
    }
  });

  it('rounds what optimal brain surgery rounds, which takes inputs out of H⁻¹ one by one', async () => {
    const factor = await factorOf(gram);
    if (!factor) throw new Error('no factor');
    const q = await gptq(weights, factor);
    const got = dequantizeBlocks(q, n, k, format);
    const { order } = factor;

    const u = Float64Array.from(dampedHessian(gram, k, 0.01));
    inverseFactor(u, k);
    const inverse = new Float64Array(k * k);
    for (let i = 0; i < k; i++)
      for (let j = 0; j < k; j++)
        for (let a = 0; a < k; a++)
          inverse[i * k + j] = (inverse[i * k + j] as number) + (u[a * k + i] as number) * (u[a * k + j] as number);
    const w = Float64Array.from(transpose(layer.weights, k, n));
    for (const i of order) {
      const pivot = inverse[i * k + i] as number;
      for (let row = 0; row < n; row++) {
        const value = w[row * k + i] as number;
        const rounded = got[row * k + i] as number;
        const scale = Math.abs(q.scales[row * Math.ceil(k / 16) + Math.floor(i / 16)] as number);
        // Nearest code of the grid, unless the value fell outside of it: the grid is clipped.
        const codes = Math.abs(value - rounded) / scale;
        const inside = Math.abs(value) < 5 * scale;
        if (inside) expect(codes).toBeLessThan(0.501);
        const error = (value - rounded) / pivot;
        for (let j = 0; j < k; j++)
          w[row * k + j] = (w[row * k + j] as number) - error * (inverse[i * k + j] as number);
      }
      const column = Float64Array.from({ length: k }, (_, j) => inverse[j * k + i] as number);
      for (let a = 0; a < k; a++)
        for (let b = 0; b < k; b++)
          inverse[a * k + b] = (inverse[a * k + b] as number) - ((column[a] as number) * (column[b] as number)) / pivot;
    }
  });

  it('passes errors on: far from plain rounding, and much closer at the output', async () => {
    const factor = await factorOf(gram);
    if (!factor) throw new Error('no factor');
    const q = await gptq(weights, factor);
    const plain = quantizeBlocks(weights, format);
    expect(Buffer.compare(q.codes, plain.codes)).not.toBe(0);
    expect(cost(q, gram)).toBeLessThan(0.6 * cost(plain, gram));
  });

  it('reads [K, N] and [N, K] alike', async () => {
    const factor = await factorOf(gram);
    if (!factor) throw new Error('no factor');
    const turned: LinearWeights = { ...weights, data: transpose(layer.weights, k, n), rows: 'n' };
    expect(await gptq(turned, factor)).toEqual(await gptq(weights, factor));
    const hessian = dampedHessian(gram, k, 0.01);
    const start = quantizeBlocks(weights, format);
    const refine = (form: LinearWeights) => refineBlocks(form, format, hessian, start, 1, float32);
    expect(await refine(turned)).toEqual(await refine(weights));
  });

  it('raises the damping until H can be factored: fewer rows than inputs, twins, and sums that are slightly off', async () => {
    const twins = Float64Array.of(1, 1 + 1e-3, 1 + 1e-3, 1);
    expect((await factorOf(twins, 2, 2, 1e-6))?.damping).toBeCloseTo(1e-2, 12);
    expect((await factorOf(Float64Array.of(1, 3, 3, 1), 2, 2))?.damping).toBeCloseTo(10, 12);
    expect(await factorOf(Float64Array.of(1, 30, 30, 1), 2, 2)).toBeUndefined();
    expect(await factorOf(new Float64Array(4), 2, 2)).toBeUndefined();
    expect(await factorOf(Float64Array.of(Number.NaN, 0, 0, 1), 2, 2)).toBeUndefined();
    const few = new Float64Array(k * k);
    addGram(few, layer.rows(3, 1), 3, k);
    expect((await factorOf(few, k, 16))?.damping).toBeGreaterThan(0);
  });

  it('keeps the weights of inputs that no sample reached', async () => {
    const dead = gram.slice();
    for (const i of [0, 17, 82]) for (let j = 0; j < k; j++) dead[i * k + j] = dead[j * k + i] = 0;
    const factor = await factorOf(dead);
    if (!factor) throw new Error('no factor');
    const q = await gptq(weights, factor);
    const back = dequantizeBlocks(q, n, k, format);
    for (const i of [0, 17, 82]) {
      for (let row = 0; row < n; row++) {
        const scale = Math.abs(q.scales[row * Math.ceil(k / 16) + Math.floor(i / 16)] as number);
        expect(Math.abs((back[row * k + i] as number) - (layer.weights[i * n + row] as number))).toBeLessThan(
          4 * scale,
        );
      }
    }
  });

  it('stops when told', async () => {
    const factor = await factorOf(gram);
    if (!factor) throw new Error('no factor');
    const stop = (done: number): void => {
      if (done === 2) throw new Error('enough');
    };
    await expect(gptq(weights, factor, stop)).rejects.toThrow('enough');
  });
});

describe('coordinate descent', () => {
  it.each([
    format,
    { ...format, symmetric: true },
    { ...format, bits: 2 },
    { ...format, floatZeros: true },
    { ...format, scaleType: 'float16' },
  ] as BlockFormat[])('never makes the error larger, sweep by sweep: %o', async (form) => {
    const hessian = dampedHessian(gram, k, 0.01);
    let q = quantizeBlocks(weights, form);
    let before = cost(q, hessian, form);
    for (let sweep = 0; sweep < 4; sweep++) {
      q = await refineBlocks(weights, form, hessian, q, 1, float32);
      const after = cost(q, hessian, form);
      expect(after).toBeLessThanOrEqual(before * (1 + 1e-6));
      if (sweep === 0) expect(after).toBeLessThan(0.8 * before);
      before = after;
    }
  });
});
